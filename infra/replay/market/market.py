"""Simulate the prices of one exchange. Pure: no clock and no I/O.

The same seed and the same sequence of turns yield the same sequence of prices.
"""

from collections.abc import Sequence
from random import Random

from infra.replay.market.coins import Coins
from infra.replay.market.instrument import Instrument
from infra.replay.market.symbols import Pair

HOUR_MS = 3_600_000
OLDEST_CHANGE = 0.9
"""Maximum age of a change, as a share of the period. Items of one Binance array, which covers a second,
were up to 897 ms apart."""


class Market:
    """`instruments` are sorted by activity, busiest first."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        coins: Coins,
        *,
        seed: int,
        period: float,
        changed: float,
        traded: float,
        now: int,
    ) -> None:
        """In a `period` (seconds), the share `changed` of the instruments changes, each at most once.
        The share `traded` of these changes are trades; the others are new bids and asks only.
        """
        if not 0 < changed <= 1:
            raise ValueError(f"share of changed instruments {changed}: expected above 0, at most 1")
        self.period = period
        self._oldest_change_ms = 1000 * period * OLDEST_CHANGE
        self._traded = traded
        self._coins = coins
        self._random = Random(f"{pairs[0].symbol} {seed}")
        self._hour = now // HOUR_MS
        # The mean of x**n over x from 0 to 1 is 1/(n+1). So the chances fall from the busiest pair
        # to the quietest, none is above 1, and their mean is `changed`.
        exponent = 1 / changed - 1
        chances = [(1 - (rank + 0.5) / len(pairs)) ** exponent for rank in range(len(pairs))]
        self.instruments = [
            Instrument(
                pair,
                coins,
                self._random,
                rank=rank,
                chance=chance,
                trades_per_hour=traded * chance * 3600 / period,
                now=now,
            )
            for rank, (pair, chance) in enumerate(zip(pairs, chances, strict=True))
        ]

    def turn(self, instruments: Sequence[Instrument], now: int) -> list[Instrument]:
        """Simulate the period that ends at `now` (milliseconds). Return the changed instruments."""
        self._coins.advance(now // 1000)
        if self._hour != now // HOUR_MS:
            self._hour = now // HOUR_MS
            for instrument in self.instruments:
                instrument.day.begin_hour(instrument.price)
        random = self._random
        changes = [each for each in instruments if random.random() < each.chance]
        for instrument in changes:
            instrument.quote()
            if random.random() < self._traded:
                instrument.trade(now - int(self._oldest_change_ms * random.random()))
        return changes
