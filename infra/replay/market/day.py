"""Compute open, high, low and volumes of a pair's rolling 24 hours."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

HOURS = 24


@dataclass(slots=True)
class Hour:
    """Prices in price increments, base volume in size increments, quote volume in their product."""

    open: int
    high: int
    low: int
    base_volume: int = 0
    quote_volume: int = 0


class Day:
    """The last 24 hours, including the current one. When an hour begins, the oldest is dropped."""

    def __init__(self, hours: Iterable[Hour]) -> None:
        self._hours = deque(hours, maxlen=HOURS)

    def begin_hour(self, price: int) -> None:
        self._hours.append(Hour(price, price, price))

    def trade(self, price: int, size: int) -> None:
        hour = self._hours[-1]
        hour.high = max(hour.high, price)
        hour.low = min(hour.low, price)
        hour.base_volume += size
        hour.quote_volume += size * price

    @property
    def open(self) -> int:
        return self._hours[0].open

    @property
    def high(self) -> int:
        return max(hour.high for hour in self._hours)

    @property
    def low(self) -> int:
        return min(hour.low for hour in self._hours)

    @property
    def base_volume(self) -> int:
        return sum(hour.base_volume for hour in self._hours)

    @property
    def quote_volume(self) -> int:
        return sum(hour.quote_volume for hour in self._hours)
