"""Decide which known symbols are delisted because a symbol list lacks them.

An exchange delists a few symbols at a time. A list that lacks a tenth of the known symbols or more is
probably a faulty answer, so a second list must confirm it ten minutes later.
"""

import time
from collections.abc import Callable, Mapping, Set

from exchanges.exchange import Instrument

DELISTED = "DELISTED"

CONFIRMED_AFTER = 600.0
"""Minimum seconds between the first list without a symbol and the list that confirms its delisting."""


class Delisting:
    """Symbols that the lists lack, and since when. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missing_since: dict[str, float] = {}

    def gone(self, known: Mapping[str, Instrument], listed: Set[str]) -> tuple[set[str], set[str]]:
        """Return the symbols that are delisted, and those that a later list has to confirm.

        `known` maps each symbol to its instrument; those with status DELISTED are ignored.
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
