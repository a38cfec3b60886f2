"""Set up exchanges that play a landing archive instead of a simulation."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from infra.replay.binance.exchange import Binance
from infra.replay.connection import Observer
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.market.symbols import (
    BINANCE_SYMBOLS,
    binance_listing,
    binance_trading,
    kucoin_listing,
)
from infra.replay.recording.frames import (
    RecordedFrame,
    RecordedItem,
    binance_frames,
    kucoin_frames,
    read_items,
)
from infra.replay.recording.landing import SUFFIX, Landing
from infra.replay.recording.source import RecordedSource
from infra.replay.recording.timeline import Timeline
from infra.replay.recording.updates import RecordedBinance, RecordedKucoin

Framing = Callable[[Iterable[RecordedItem]], Iterator[RecordedFrame]]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An archive and its playback speed, in multiples of real time."""

    landing: Landing
    speed: float = 1.0
    binance: BinanceLimits = field(default_factory=BinanceLimits)
    kucoin: KucoinLimits = field(default_factory=KucoinLimits)

    def exchanges(self, observer: Observer | None = None) -> tuple[Binance, Kucoin]:
        """Return both exchanges after reading the first frames. `observer` receives their events.

        Raise ValueError for an invalid speed or an archive with nothing to play, and OSError
        for an archive that can't be read.
        """
        if not 0 < self.speed < math.inf:
            raise ValueError(f"speed {self.speed}: expected a finite number above 0")
        frames = {
            "binance": self._frames("binance", binance_frames),
            "kucoin": self._frames("kucoin", kucoin_frames),
        }
        firsts = {exchange: list(islice(each, 1)) for exchange, each in frames.items()}
        starts = [first.received_at for each in firsts.values() for first in each]
        if not starts:
            raise ValueError(
                f"{self.landing}: nothing to play, expected binance/ or kucoin/ to contain "
                f"objects whose names end with {SUFFIX}"
            )
        timeline = Timeline(min(starts), self.speed)
        updates = {"binance": RecordedBinance, "kucoin": RecordedKucoin}
        binance, kucoin = (
            RecordedSource(exchange, chain(first, frames[exchange]), timeline, updates[exchange])
            for exchange, first in firsts.items()
        )
        symbols = binance_listing()
        trading = binance_trading(symbols, BINANCE_SYMBOLS)
        return (
            Binance(binance, symbols, trading, self.binance, observer),
            Kucoin(kucoin, kucoin_listing(), self.kucoin, observer),
        )

    def _frames(self, exchange: str, framing: Framing) -> Iterator[RecordedFrame]:
        """Read one object at a time, so that only one is in memory."""
        names = sorted(self.landing.names(exchange))
        return framing(item for name in names for item in read_items(name, self.landing.read(name)))
