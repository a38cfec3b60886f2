"""What an exchange lists, compared with what topic `instruments` says of it."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from queue import Queue
from threading import Event, Thread

from core.message import Item
from extractors.feed import Feed, FeedError, Instrument
from extractors.notices import Listing, Notice, now_us

log = logging.getLogger(__name__)

REFRESH_INTERVAL = 3600.0
"""Seconds between two looks at the list."""

RETRY_INTERVAL = 60.0
"""Seconds after which a list that could not be had is asked for again."""

DELISTED = "DELISTED"


def changes(known: Mapping[str, Instrument], listed: Iterable[Instrument]) -> list[Instrument]:
    """What is new or different, and as DELISTED what is no longer there. `known` is by symbol."""
    now = {each.symbol: each for each in listed}
    gone = [replace(each, status=DELISTED) for symbol, each in known.items() if symbol not in now]
    return [each for each in (*now.values(), *gone) if known.get(each.symbol) != each]


def instrument_message(instrument: Instrument, seen_at: int) -> Item:
    """As core.message has it."""
    return {**asdict(instrument), "seen_at": seen_at}


def read_instrument(value: bytes) -> Instrument:
    """The inverse, without the time. Raises ValueError for what is no such message."""
    try:
        message = json.loads(value)
        return Instrument(*(message[name] for name in Instrument.__slots__))
    except (LookupError, TypeError) as error:
        raise ValueError(f"no instrument: {value!r}") from error


class InstrumentWatch(Thread):
    """Asks for the list at the start and every hour. What changed goes onto `notices`.

    A thread of its own: a list that can't be had delays nothing. `read_known` gives what the topic
    says, by symbol.
    """

    def __init__(
        self,
        feed: Feed,
        read_known: Callable[[], dict[str, Instrument]],
        notices: Queue[Notice],
        stop: Event,
    ) -> None:
        super().__init__(name="instruments", daemon=True)
        self._feed = feed
        self._read_known = read_known
        self._notices = notices
        self._stop_requested = stop

    def run(self) -> None:
        known: dict[str, Instrument] | None = None
        pause = 0.0
        while not self._stop_requested.wait(pause):
            try:
                known = self._read_known() if known is None else known
                changed = changes(known, self._feed.instruments())
            except (FeedError, OSError, ValueError) as error:
                log.warning(
                    "instruments not known reason=%r retry_in=%g", str(error), RETRY_INTERVAL
                )
                pause = RETRY_INTERVAL
                continue
            log.info("instruments changed=%d", len(changed))
            known |= {each.symbol: each for each in changed}
            self._notices.put(Listing(changed, now_us()))
            pause = REFRESH_INTERVAL
