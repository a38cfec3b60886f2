"""Simulate a connection whose peer may stop reading, and create a client on it."""

import asyncio
import json
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, cast

from server.streams.client import Client, Traffic
from server.streams.socket_writer import SocketWriter
from server.streams.subscription import Subscription


class Wire(asyncio.Transport):
    """Transport that accepts all writes immediately, or none while `is_stuck`."""

    def __init__(self) -> None:
        super().__init__(extra={"socket": self})
        self.is_stuck = False
        self.is_aborted = False
        self.written: list[bytes] = []
        self.taken = b""
        self.waiting = b""
        self.channel = SocketWriter(self)

    def setsockopt(self, *option: int) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.waiting, "a second message waits"
        self.written.append(cast(bytes, data))
        if self.is_stuck:
            self.waiting = bytes(data)
            self.channel.paused()
        else:
            self.taken += data

    def read(self) -> None:
        """Let the peer read the pending data."""
        self.is_stuck = False
        if self.waiting:
            self.taken, self.waiting = self.taken + self.waiting, b""
            self.channel.resumed()

    def abort(self) -> None:
        self.is_aborted = True

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages read since the last call, without their times."""
        taken, self.taken = self.taken, b""
        lines = [line for line in taken.splitlines() if line.startswith(b"data: ")]
        messages = [json.loads(line.removeprefix(b"data: ")) for line in lines]
        for message in messages:
            assert datetime.fromisoformat(message.pop("time")).utcoffset() == timedelta()
        return messages


def client_on(
    wire: Wire, subscription: Subscription | None = None, since: str | None = None
) -> Client:
    return Client(
        wire.channel, attrgetter("event"), Traffic(), subscription or Subscription(), since
    )
