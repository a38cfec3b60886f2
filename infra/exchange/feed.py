"""From a market to those who listen: what changed, in time, the same to everyone."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

from infra.exchange.connection import Connection
from infra.exchange.encoding import encode_frames
from infra.exchange.instrument import Instrument
from infra.exchange.market import Market
from infra.exchange.pace import Pace


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


async def run_feed(
    market: Market,
    subscribers: Subscribers,
    texts: Callable[[Sequence[Instrument]], Sequence[str]],
    parts: int = 1,
) -> NoReturn:
    """Send the market's changes for ever; while nobody listens, the market stands still.

    A period has so many parts, and every instrument has its own: so a period lies between two
    frames of an instrument, and the frames are spread evenly over it.
    """
    instruments = [market.instruments[part::parts] for part in range(parts)]
    while True:
        await subscribers.present()
        pace = Pace(market.period / parts)
        while subscribers:
            for part in instruments:
                await pace.turn()
                if changes := market.turn(part, now_ms()):
                    subscribers.broadcast(texts(changes))
