"""Simulate the candles of one pair: of its trades, and of the time before the simulation started.

The candles before the start are a random walk backwards from the price at the start. The same seed yields
the same candles at every request, except that minutes whose trades are no longer kept are simulated from
their hour. Pure: no clock and no I/O.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from math import sqrt
from random import Random
from typing import NamedTuple

from exchanges.exchange import CANDLE_SECONDS
from infra.replay.market.day import Hour

MINUTE, HOUR, DAY = 60, 3600, 86_400
DAYS_OF_HOURS = 31
"""Number of days before the start that are simulated hour by hour. Earlier ones are simulated day by day."""

MINUTES_KEPT = 120
"""Number of minutes with trades that are kept. Earlier minutes are simulated from their hour."""


class Candle(NamedTuple):
    """Prices and volumes are in increments, as in day.Hour. `start` is in seconds since the epoch."""

    start: int
    open: int
    high: int
    low: int
    close: int
    base_volume: int
    quote_volume: int
    trades: int


class Walk(NamedTuple):
    """Random walk of a pair. `swing` is its largest move per second, as a share of the price."""

    swing: float
    volume: float
    """Mean base volume per hour."""
    usual_size: float
    """Size of a usual trade."""

    def before(self, close: int, random: Random, hours: int = 1) -> Iterator[Hour]:
        """Yield spans of `hours` hours each, newest first, without an end. The newest closes at `close`."""
        # A random walk grows with the square root of its steps.
        share = self.swing * sqrt(hours * HOUR)
        while True:
            move = close * share
            opened = max(1, round(close + random.uniform(-move, move)))
            high = max(opened, close) + int(move * random.random() / 2)
            low = max(1, min(opened, close) - int(move * random.random() / 2))
            volume = 1 + int(hours * self.volume * random.uniform(0.5, 1.5))
            yield Hour(opened, high, low, volume, volume * ((opened + close) // 2))
            close = opened


class Candles:
    """Candles of a pair: simulated until `now`, in seconds, and made of its trades from then on."""

    def __init__(
        self,
        hours: Sequence[Hour],
        price: int,
        walk: Walk,
        seed: Callable[[str], Random],
        now: int,
    ) -> None:
        """`hours` are those until `now`, oldest first, and the last is not over yet. `price` is that at
        `now`. `seed` returns the random numbers of a purpose, always the same.
        """
        self._walk = walk
        self._seed = seed
        self._now = now
        self._first_day = (now // DAY - DAYS_OF_HOURS) * DAY
        closes = [each.open for each in hours[1:]] + [price]
        starts = range((now // HOUR - len(hours) + 1) * HOUR, now + 1, HOUR)
        before = zip(starts, hours, closes, strict=True)
        self._before = [self._simulated(*each) for each in before]
        self._minutes: list[Candle] = []
        self._hours: list[Candle] = []
        self._forgotten_until = 0

    def trade(self, at: int, price: int, size: int) -> None:
        """Add a trade. Times, in seconds, never decrease. A trade before the start counts at the start."""
        at = max(at, self._now)
        _add(self._minutes, at // MINUTE * MINUTE, price, size)
        _add(self._hours, at // HOUR * HOUR, price, size)
        if len(self._minutes) > MINUTES_KEPT:
            self._forgotten_until = self._minutes.pop(0).start + MINUTE

    def of(self, interval: str, start: int, end: int, now: int) -> list[Candle]:
        """Return the candles that start from `start` to before `end`, but not after `now`; in seconds.

        A candle without trades repeats the last price, with volumes of 0.
        """
        width, end = CANDLE_SECONDS[interval], min(end, now + 1)
        make = {"1m": self._minutes_from, "1h": self._hours_from, "1d": self._days_from}[interval]
        # From an hour or a day earlier, because a candle without trades repeats the one before it.
        unit = DAY if interval == "1d" else HOUR
        found = make(start // unit * unit - unit, end)
        return [each for each in _without_gaps(found, width, end) if start <= each.start < end]

    def _days_from(self, start: int, end: int) -> list[Candle]:
        hours = self._hours_from(max(start, self._first_day), end)
        days = [_joined(of_day) for _, of_day in groupby(hours, lambda each: each.start // DAY)]
        if start >= self._first_day:
            return days
        opened = self._hours_from(self._first_day, self._first_day + HOUR)[0].open
        count = (self._first_day - start) // DAY
        return self._walked(self._first_day, opened, count, "days", 24) + days

    def _hours_from(self, start: int, end: int) -> list[Candle]:
        """Return the hourly candles from `start` to before `end`, but none before `_first_day`."""
        start = max(start, self._first_day)
        oldest = self._before[0]
        count = max(0, (oldest.start - start) // HOUR)
        earlier = self._walked(oldest.start, oldest.open, count, "hours", 1)
        *before, begun = self._before
        traded = [*self._hours]
        if traded and traded[0].start == begun.start:
            begun = _joined([begun, traded.pop(0)])
        found = _without_gaps([*earlier, *before, begun, *traded], HOUR, end)
        return [each for each in found if start <= each.start < end]

    def _minutes_from(self, start: int, end: int) -> list[Candle]:
        found: list[Candle] = []
        for hour in self._hours_from(start, end):
            begun = self._before[-1]
            if not hour.trades:
                # A candle of its first minute, which the others repeat.
                found.append(hour)
                continue
            if hour.start < begun.start or hour.start < self._forgotten_until:
                found += self._bridge(hour, HOUR // MINUTE)
                continue
            minutes = [each for each in self._minutes if each.start // HOUR * HOUR == hour.start]
            if hour.start == begun.start:
                simulated = self._bridge(begun, (self._now - begun.start) // MINUTE + 1)
                if minutes and minutes[0].start == simulated[-1].start:
                    minutes[0] = _joined([simulated.pop(), minutes[0]])
                minutes = simulated + minutes
            found += minutes
        return found

    def _walked(self, end: int, close: int, count: int, purpose: str, hours: int) -> list[Candle]:
        """Return `count` candles of `hours` hours each, the last of which ends at `end`, oldest first."""
        candles = []
        for span in islice(self._walk.before(close, self._seed(purpose), hours), count):
            end -= hours * HOUR
            candles.append(self._simulated(end, span, close))
            close = span.open
        return candles[::-1]

    def _simulated(self, start: int, span: Hour, close: int) -> Candle:
        trades = max(1, round(span.base_volume / self._walk.usual_size))
        prices = (span.open, span.high, span.low, close)
        return Candle(start, *prices, span.base_volume, span.quote_volume, trades)

    def _bridge(self, span: Candle, minutes: int) -> list[Candle]:
        """Split a span into candles within its first `minutes` minutes, one per minute with trades."""
        random = self._seed(f"minutes {span.start}")
        count = min(minutes, span.trades, span.base_volume)
        path = [round(span.open + (span.close - span.open) * at / count) for at in range(count + 1)]
        for at in range(1, count):
            reach = (span.high - span.low) // 4
            path[at] = min(span.high, max(span.low, path[at] + random.randint(-reach, reach)))
        highest, lowest = random.randrange(count), random.randrange(count)
        candles = []
        for at, minute in enumerate(sorted(random.sample(range(minutes), count))):
            opened, close = path[at], path[at + 1]
            candles.append(
                Candle(
                    span.start + minute * MINUTE,
                    opened,
                    span.high if at == highest else max(opened, close),
                    span.low if at == lowest else min(opened, close),
                    close,
                    *(
                        total * (at + 1) // count - total * at // count
                        for total in (span.base_volume, span.quote_volume, span.trades)
                    ),
                )
            )
        return candles


def _add(candles: list[Candle], start: int, price: int, size: int) -> None:
    trade = _at_one_price(start, price, size, 1)
    if candles and candles[-1].start == start:
        candles[-1] = _joined([candles[-1], trade])
    else:
        candles.append(trade)


def _at_one_price(start: int, price: int, size: int = 0, trades: int = 0) -> Candle:
    return Candle(start, price, price, price, price, size, size * price, trades)


def _joined(candles: Iterable[Candle]) -> Candle:
    """Merge consecutive candles into one."""
    first, *_ = parts = list(candles)
    return Candle(
        first.start,
        first.open,
        max(each.high for each in parts),
        min(each.low for each in parts),
        parts[-1].close,
        sum(each.base_volume for each in parts),
        sum(each.quote_volume for each in parts),
        sum(each.trades for each in parts),
    )


def _without_gaps(candles: Iterable[Candle], width: int, end: int) -> Iterator[Candle]:
    """Yield the candles. Fill the gaps between them and before `end` with candles at the last price."""
    last: Candle | None = None
    for candle in candles:
        if last:
            yield from _flat(last, width, candle.start)
        yield candle
        last = candle
    if last:
        yield from _flat(last, width, end)


def _flat(last: Candle, width: int, end: int) -> Iterator[Candle]:
    for start in range(last.start + width, end, width):
        yield _at_one_price(start, last.close)
