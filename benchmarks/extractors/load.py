"""Start the source of frames, start a run and query its progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests

from benchmarks.extractors.source import Sent, State
from benchmarks.harness.child import child
from infra import ports

ASSUMED_RATE = 40_000
"""Frames per second for which a run without a rate is sized."""


class Load(NamedTuple):
    rate: float
    """Frames per second; 0 means as fast as they are read."""
    seconds: float

    @property
    def frames(self) -> int:
        return int((self.rate or ASSUMED_RATE) * self.seconds)

    def __str__(self) -> str:
        if self.rate:
            return f"{self.rate:,.0f} frames/s for {self.seconds:g} s"
        return f"{self.frames:,} frames, as fast as they are read"


class Source:
    """Client of benchmarks/extractors/source.py at `address`, host:port."""

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
    with child("benchmarks.extractors.source", port, load.frames, environment=environment):
        yield Source(f"127.0.0.1:{port}")
