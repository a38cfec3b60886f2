"""Define the notices from connections to the journal: frames, and starts and ends of connections.

One backlog holds them all, so each connection's notices stay in order; changes of the instruments are
notices too. Times are in microseconds since the epoch. `connection` numbers the attempts of this process
from 1.
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
    """The WebSocket is open."""

    connection: int
    at: int
    endpoint: str


@dataclass(slots=True)
class Frame:
    """Raw data of one WebSocket frame; not empty when received."""

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
        """Return the frame's items as they go to Kafka."""
        return [
            ticker_item(each.text, self.at)
            if isinstance(each, RawData)
            else unreadable_item(str(each.text, "utf-8", "backslashreplace"), self.at)
            for each in self.raw_data
        ]


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt or the connection has ended."""

    connection: int
    at: int
    cause: str
    """Cause as in exchange.ExchangeError, such as silence."""
    reason: str
    is_final: bool = False
    """Whether retrying is useless."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Instruments that changed in the symbol list."""

    changed: list[Instrument]
    at: int


Notice = Opening | Opened | Frame | Ended | Listing


def now_us() -> int:
    """Return the current time, in microseconds since the epoch."""
    return time.time_ns() // 1000
