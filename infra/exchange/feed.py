"""From where data frames come to those who listen: the same to everyone."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from infra.exchange.connection import Connection
from infra.exchange.encoding import encode_frames


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Subscribers:
    """The connections that listen to a feed."""

    def __init__(self) -> None:
        self._connections: set[Connection] = set()
        self._present = asyncio.Event()

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._connections

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._present.set()

    def discard(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._present.clear()

    async def present(self) -> None:
        """Wait until there is one."""
        await self._present.wait()

    def broadcast(self, texts: Sequence[str]) -> None:
        frames = encode_frames(texts)
        for connection in self._connections:
            connection.send_data(texts, frames)


class Feed(Protocol):
    """The data of one exchange, simulated or recorded."""

    def snapshot(self) -> Sequence[str]:
        """The frames that tell how every symbol stands; none where that is not known."""

    async def run(self, subscribers: Subscribers) -> None:
        """Send what happens, in time, until there is no more."""
