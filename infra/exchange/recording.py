"""A landing archive in the place of the simulation."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from infra.exchange.binance import Binance
from infra.exchange.connection import Observer
from infra.exchange.kucoin import Kucoin
from infra.exchange.landing import SUFFIX, Landing
from infra.exchange.limits import BinanceLimits, KucoinLimits
from infra.exchange.recorded_feed import RecordedFeed
from infra.exchange.recorded_frames import (
    RecordedFrame,
    RecordedItem,
    binance_frames,
    kucoin_frames,
    read_items,
)
from infra.exchange.recorded_updates import RecordedBinance, RecordedKucoin
from infra.exchange.symbols import BINANCE_SYMBOLS, binance_listing, binance_trading, kucoin_listing
from infra.exchange.timeline import Timeline

Framing = Callable[[Iterable[RecordedItem]], Iterator[RecordedFrame]]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is played, and how many times as fast as it was received."""

    landing: Landing
    speed: float = 1.0
    binance: BinanceLimits = field(default_factory=BinanceLimits)
    kucoin: KucoinLimits = field(default_factory=KucoinLimits)

    def exchanges(self, observer: Observer | None = None) -> tuple[Binance, Kucoin]:
        """`observer` is told what goes to the connections of both. Reads the first frames.

        Raises ValueError for a speed that can't be right or an archive with nothing to play,
        OSError for one that can't be read.
        """
        if not 0 < self.speed < math.inf:
            raise ValueError(f"speed {self.speed}: expected above 0")
        frames = {
            "binance": self._frames("binance", binance_frames),
            "kucoin": self._frames("kucoin", kucoin_frames),
        }
        firsts = {exchange: list(islice(each, 1)) for exchange, each in frames.items()}
        starts = [first.received_at for each in firsts.values() for first in each]
        if not starts:
            raise ValueError(
                f"{self.landing}: nothing to play, expected binance/ or kucoin/ with objects "
                f"below whose names end with {SUFFIX}"
            )
        timeline = Timeline(min(starts), self.speed)
        updates = {"binance": RecordedBinance, "kucoin": RecordedKucoin}
        binance, kucoin = (
            RecordedFeed(exchange, chain(first, frames[exchange]), timeline, updates[exchange])
            for exchange, first in firsts.items()
        )
        symbols = binance_listing()
        trading = binance_trading(symbols, BINANCE_SYMBOLS)
        return (
            Binance(binance, symbols, trading, self.binance, observer),
            Kucoin(kucoin, kucoin_listing(), self.kucoin, observer),
        )

    def _frames(self, exchange: str, framing: Framing) -> Iterator[RecordedFrame]:
        """Object by object: only one is held at a time."""
        names = sorted(self.landing.names(exchange))
        return framing(item for name in names for item in read_items(name, self.landing.read(name)))
