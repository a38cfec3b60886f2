"""Which known symbols a new symbol list has lost, and when to believe it.

An exchange delists a few symbols at a time. A list that lost a tenth of them or more is rather a
faulty answer, so it must be confirmed by another one, ten minutes later.
"""

import time
from collections.abc import Callable, Mapping, Set

from extractors.feed import Instrument

DELISTED = "DELISTED"

CONFIRMED_AFTER = 600.0
"""Seconds from the first list without a symbol to the one that confirms it."""


class Delisting:
    """Decide from one list to the next. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missing_since: dict[str, float] = {}

    def gone(self, known: Mapping[str, Instrument], listed: Set[str]) -> tuple[set[str], set[str]]:
        """Return the symbols that left the list, and those that may have: they await confirmation.

        `known` is by symbol; those that are DELISTED already do not count.
        """
        now = self._clock()
        active = {symbol for symbol, each in known.items() if each.status != DELISTED}
        missing = active - listed
        self._missing_since = {symbol: self._missing_since.get(symbol, now) for symbol in missing}
        if 10 * len(missing) < len(active):
            return missing, set()
        gone = {
            symbol
            for symbol, since in self._missing_since.items()
            if now - since >= CONFIRMED_AFTER
        }
        return gone, missing - gone
