"""Define the interface of an exchange's data source, which is a simulation or a recording.

Every client receives the same data.
"""

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol, Self

from infra.replay.streams import Subscriptions, Update


class PricedCandle(NamedTuple):
    """Candle of a symbol, with exact amounts. `start` is in seconds since the epoch."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    base_volume: Decimal
    quote_volume: Decimal
    trades: int

    def doubled(self) -> Self:
        """Return the candle with twice its volume and trades."""
        return self._replace(
            base_volume=2 * self.base_volume,
            quote_volume=2 * self.quote_volume,
            trades=2 * self.trades,
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Source(Protocol):
    """The data of one exchange, simulated or recorded."""

    def serves(self, stream: str) -> bool:
        """Return whether the feed has data for this kind of stream."""

    def greeting(self, stream: str) -> Sequence[str]:
        """Return the texts to send first to a new subscriber of a stream."""

    def candles(self, symbol: str, interval: str, start: int, end: int) -> Sequence[PricedCandle]:
        """Return the candles from `start` to before `end`, in seconds, oldest first; none if unknown."""

    def state(self) -> Update:
        """Return the newest ticker of each symbol; in a recording, of those already played."""

    async def run(self, subscriptions: Subscriptions) -> None:
        """Publish each ticker when it is due, until there are no more."""
