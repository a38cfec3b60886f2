"""Minimal client for server-sent events."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import requests

from tests.support.server import DEADLINE

Message = dict[str, Any]


class EventStream:
    def __init__(self, response: requests.Response) -> None:
        self.last_event_id = ""
        self._lines = response.iter_lines()

    def receive(self) -> Message:
        """Return the next message. Raise requests.ConnectionError at the deadline."""
        data = ""
        for line in self._lines:
            name, _, value = line.decode().partition(": ")
            if name == "id":
                self.last_event_id = value
            elif name == "data":
                data = value
            elif not line:
                return dict(json.loads(data))
        raise EOFError("the stream has ended")


@contextmanager
def event_stream(
    port: int,
    query: Sequence[tuple[str, str]] = (),
    last_event_id: str | None = None,
    encoding: str = "gzip",
) -> Iterator[EventStream]:
    headers = {"Accept-Encoding": encoding}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    with requests.get(
        f"http://127.0.0.1:{port}/stream",
        params=list(query),
        headers=headers,
        stream=True,
        timeout=DEADLINE,
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers.get("content-encoding", "identity") == encoding
        yield EventStream(response)
