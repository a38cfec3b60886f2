"""Compare an exchange's symbol list with topic `instruments`, and report the changes."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from threading import Event, Thread
from typing import NamedTuple

from core.message import Item
from exchanges.exchange import Instrument
from extractors.receive.backlog import Backlog
from extractors.receive.delisting import CONFIRMED_AFTER, DELISTED, Delisting
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.notices import Listing, now_us
from extractors.receive.repeated import repeat
from extractors.receive.symbol_list import SymbolList

log = logging.getLogger(__name__)

REFRESH_INTERVAL = 3600.0
"""Seconds between two requests for the list."""


class News(NamedTuple):
    """Difference between a symbol list and the known instruments."""

    changed: list[Instrument]
    unconfirmed: set[str]
    """Known symbols that the list lacks; a later list must confirm that."""


def news(known: Mapping[str, Instrument], listed: SymbolList, delisting: Delisting) -> News:
    """Return new and changed instruments, and delisted ones as DELISTED. `known` is by symbol."""
    now = {each.symbol: each for each in listed.instruments}
    gone, unconfirmed = delisting.gone(known, now.keys() | listed.unread)
    delisted = [replace(known[symbol], status=DELISTED) for symbol in known if symbol in gone]
    changed = [each for each in (*now.values(), *delisted) if known.get(each.symbol) != each]
    return News(changed, unconfirmed)


def instrument_message(instrument: Instrument, seen_at: int) -> Item:
    """Return the message of an instrument, in the format of core.message."""
    return {**asdict(instrument), "seen_at": seen_at}


def read_instrument(value: bytes) -> Instrument:
    """Return the instrument of a message. Raise ValueError if the message is invalid."""
    try:
        message = json.loads(value)
        return Instrument(*(message[name] for name in Instrument.__slots__))
    except (LookupError, TypeError) as error:
        raise ValueError(f"not an instrument: {value!r}") from error


class InstrumentWatch(Thread):
    """Thread that requests the list at the start and every hour, and puts changes into the backlog.

    An unavailable list delays nothing else. `read_known` returns the topic's instruments by symbol.
    """

    def __init__(
        self,
        client: ExchangeClient,
        read_known: Callable[[], dict[str, Instrument]],
        backlog: Backlog,
        stop: Event,
    ) -> None:
        super().__init__(name="instruments", daemon=True)
        self.instruments: list[Instrument] = []
        """All known instruments; none before the first list. A faulty list does not shorten it."""
        self._client = client
        self._read_known = read_known
        self._backlog = backlog
        self._stop_requested = stop
        self._known: dict[str, Instrument] | None = None
        self._delisting = Delisting()

    def run(self) -> None:
        repeat(self._look, self._stop_requested, "instruments unknown")

    def _look(self) -> float:
        """Report the changes of the list. Return the seconds until the next request."""
        if self._known is None:
            self._known = self._read_known()
        changed, unconfirmed = news(self._known, self._client.symbol_list(), self._delisting)
        log.info("instruments changed=%d", len(changed))
        self._known |= {each.symbol: each for each in changed}
        self.instruments = list(self._known.values())
        self._backlog.put([Listing(changed, now_us())])
        if not unconfirmed:
            return REFRESH_INTERVAL
        log.warning(
            "symbol list shrank known=%d missing=%d asked_again_in=%g",
            sum(each.status != DELISTED for each in self._known.values()),
            len(unconfirmed),
            CONFIRMED_AFTER,
        )
        return CONFIRMED_AFTER
