"""Notices travel from the connections to the journal: frames, and how connections begin and end.

One backlog holds them all, so each connection's notices are read in their order; changes of the
instruments go the same way. Times are microseconds since the epoch. `connection` counts the attempts
of this process from 1.
"""

import time
from dataclasses import dataclass

from core.message import ticker_item, unreadable_item
from exchanges.exchange import Instrument, RawData, Received


@dataclass(frozen=True, slots=True)
class Opening:
    """An attempt to connect begins."""

    connection: int
    at: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The WebSocket stands."""

    connection: int
    at: int
    endpoint: str


@dataclass(slots=True)
class Frame:
    """What one WebSocket frame brought: never empty."""

    connection: int
    at: int
    endpoint: str
    raw_data: list[Received]
    size: int
    """Bytes of its text."""

    @property
    def has_ticker(self) -> bool:
        return any(isinstance(each, RawData) for each in self.raw_data)

    def items(self) -> list[bytes]:
        """Return the texts of the Kafka items."""
        return [
            ticker_item(each.text, self.at)
            if isinstance(each, RawData)
            else unreadable_item(str(each.text, "utf-8", "backslashreplace"), self.at)
            for each in self.raw_data
        ]


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt or the connection is over."""

    connection: int
    at: int
    cause: str
    """One of few words, such as silence: see exchange.ExchangeError."""
    reason: str
    is_final: bool = False
    """No later attempt can do better."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Instruments that changed, as they were seen."""

    changed: list[Instrument]
    at: int


Notice = Opening | Opened | Frame | Ended | Listing


def now_us() -> int:
    """The time of a notice."""
    return time.time_ns() // 1000
