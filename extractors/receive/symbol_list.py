"""Read an exchange's symbol list entry by entry: an invalid entry does not affect the others."""

import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from exchanges.exchange import ExchangeError, Instrument

log = logging.getLogger(__name__)

LIST_LIMIT = 60.0
"""Timeout in seconds of a symbol list or of all turnovers, from the name lookup to the last byte."""

LONGEST_ENTRY = 200
"""Maximum number of characters logged of an invalid entry."""


class SymbolList(NamedTuple):
    """Symbol list of an exchange at one moment."""

    instruments: list[Instrument]
    unread: frozenset[str] = frozenset()
    """Symbols of invalid entries. The exchange still lists them, so they are not delisted."""


class SymbolReader:
    """Reader of symbol lists. Each invalid entry is logged once.

    `read` returns the instrument of an entry, or raises LookupError, TypeError or ValueError. `symbol_key`
    is the key of the symbol in an entry.
    """

    def __init__(self, read: Callable[[Any], Instrument], symbol_key: str) -> None:
        self._read = read
        self._symbol_key = symbol_key
        self._logged: set[str] = set()

    def read_list(self, entries: object) -> SymbolList:
        """Return the instruments of the readable entries, and the symbols of the others.

        Raise ExchangeError if no entry is readable: two empty lists would delist every known symbol.
        """
        if not isinstance(entries, list):
            raise ExchangeError("unreadable", f"symbol list: {type(entries).__name__}, not a list")
        instruments: list[Instrument] = []
        invalid: dict[str, str] = {}
        unread: set[str] = set()
        for entry in entries:
            try:
                instruments.append(self._read(entry))
            except (LookupError, TypeError, ValueError) as error:
                symbol = entry.get(self._symbol_key) if isinstance(entry, dict) else None
                if isinstance(symbol, str):
                    unread.add(symbol)
                name = symbol if isinstance(symbol, str) else json.dumps(entry)
                invalid[f"{name:.{LONGEST_ENTRY}}"] = f"{error!r:.{LONGEST_ENTRY}}"
        if not instruments:
            first = next((f": {name}: {reason}" for name, reason in invalid.items()), "")
            raise ExchangeError("unreadable", f"symbol list: no symbols{first}")
        for name, reason in invalid.items():
            if name not in self._logged:
                self._logged.add(name)
                log.warning("symbol skipped entry=%r reason=%r", name, reason)
        return SymbolList(instruments, frozenset(unread))
