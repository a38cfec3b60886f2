"""Start the source of frames, order a run and ask for its progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests

from benchmarks.child import child
from benchmarks.extractor_source import Sent, State
from infra import ports

UNLIMITED = 40_000
"""Frames for each second of a run without a rate."""


class Load(NamedTuple):
    rate: float
    """Frames a second; 0 for as many as are taken."""
    seconds: float

    @property
    def frames(self) -> int:
        return int((self.rate or UNLIMITED) * self.seconds)

    def __str__(self) -> str:
        if self.rate:
            return f"{self.rate:,.0f} frames/s for {self.seconds:g} s"
        return f"{self.frames:,} frames, as fast as they are taken"


class Source:
    """benchmarks/extractor_source.py at its address, host:port."""

    def __init__(self, address: str) -> None:
        self.address = address

    def state(self) -> State:
        return State(**self._get("state"))

    def sent(self) -> list[Sent]:
        return [Sent(*each) for each in self._get("sent")]

    def start(self, load: Load) -> None:
        query = f"rate={load.rate}&frames={load.frames}"
        requests.post(f"http://{self.address}/run?{query}", timeout=5).raise_for_status()

    def _get(self, path: str) -> Any:
        return requests.get(f"http://{self.address}/{path}", timeout=5).json()


@contextmanager
def source_of(load: Load, environment: dict[str, str]) -> Iterator[Source]:
    [port] = ports.free_ports(1)
    with child("benchmarks.extractor_source", port, load.frames, environment=environment):
        yield Source(f"127.0.0.1:{port}")
