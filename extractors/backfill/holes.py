"""Define the holes of a feed: spans in which tickers may be missing, and the candles that fill them.

Without a record of an earlier process, the first hole reaches from the epoch to the first ticker.
"""

from collections.abc import Mapping
from typing import NamedTuple

from exchanges.exchange import CANDLE_SECONDS

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
WIDTHS = {interval: seconds * SECOND for interval, seconds in CANDLE_SECONDS.items()}
"""Width of each interval in microseconds, narrowest first."""

SHORTEST = MINUTE
"""Shortest hole that is filled, in microseconds. The first hole of a process is filled at any length."""

GRACE = 3 * SECOND
"""Wait after a hole's last minute, in microseconds, until the exchange has its candle."""


class Hole(NamedTuple):
    """A span without complete data, in microseconds since the epoch."""

    start: int
    end: int
    only_hours: bool = False
    """Whether only the volumes of its hours are missing: the exchange's tickers have none."""

    @property
    def due(self) -> int:
        """When the exchange should have the candle of the last minute, in microseconds since the epoch."""
        return _up(self.end, MINUTE) + GRACE


class Part(NamedTuple):
    """Candles of one interval, from `start` to `end`, in seconds since the epoch."""

    interval: str
    start: int
    end: int


def parts_of(hole: Hole, reach: Mapping[str, int], limit: int) -> list[Part]:
    """Return the candles that fill a hole, in parts of up to `limit` candles.

    The narrowest interval is first, and within an interval the newest part.

    `reach` maps an interval to the maximum age of its candles, counted back from the end of the hole, in
    microseconds. Wider candles are requested only if the narrower ones do not reach the start of the hole.
    They then overlap the narrower ones, up to the end of the hole.
    """
    if hole.only_hours:
        return _parts("1h", max(hole.start, hole.end - reach["1h"]), hole.end, limit)
    found: list[Part] = []
    is_open = True
    for interval in WIDTHS:
        if is_open and reach[interval]:
            oldest = hole.end - reach[interval]
            found += _parts(interval, max(hole.start, oldest), hole.end, limit)
            is_open = hole.start < oldest
    return found


def _parts(interval: str, start: int, end: int, limit: int) -> list[Part]:
    width = WIDTHS[interval]
    first, end = start // width * width, _up(end, width)
    starts = range(first, end, limit * width)
    parts = [
        Part(interval, each // SECOND, min(each + limit * width, end) // SECOND) for each in starts
    ]
    return parts[::-1]


def _up(at: int, width: int) -> int:
    return -(-at // width) * width
