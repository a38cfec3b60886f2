"""Events other than prices: what happened to the connection, and to the data behind it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from websockets.exceptions import WebSocketException


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is open, and the table is up to date."""

    resumed: bool
    """True if only the changes since the last message were sent, False if all prices were."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection was lost, or an attempt to open it failed. Another attempt follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The server merged changes into later ones, because the client was slow."""

    changes: int


@dataclass(frozen=True, slots=True)
class Interruption:
    """Tickers of an exchange may be missing between `start` and `end`; `end` is None while it lasts."""

    exchange: str
    start: datetime
    end: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Most of what these exchanges send can't be read. No exchanges: all can be read again."""

    exchanges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PostgresAway:
    """The server has been unable to read its database since `since`: prices are old."""

    since: datetime


@dataclass(frozen=True, slots=True)
class PostgresBack:
    """The server can read its database again."""


Event = Connected | Disconnected | Skipped | Interruption | Unreadable | PostgresAway | PostgresBack


def report(events: Iterable[Event], on_event: Callable[[Event], object] | None) -> None:
    """Call the caller's function with each event.

    Its OSError or WebSocketException is raised as RuntimeError: otherwise it would be taken for a lost
    connection.
    """
    if on_event is None:
        return
    for event in events:
        try:
            on_event(event)
        except (OSError, WebSocketException) as error:
            raise RuntimeError(f"on_event failed: {event!r}") from error
