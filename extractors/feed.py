"""What every exchange must say of itself, and the words that the extractor's parts share.

An exchange is a `Feed`. For each connection it names an `Endpoint`, asked anew every time, and
opens a `Session`: its protocol on that one connection, text in and text out, without the socket.
What a session reads is `RawData`.
"""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from core.message import Item, unreadable_item
from extractors.ban import Ban
from extractors.deadline import Deadline

SEQUENCE_DIGITS = 19
"""Most digits of a sequence."""


class FeedError(Exception):
    """This connection, or this attempt at one, is over. The next one asks for its endpoint anew.

    `cause` is one of few words, for counting: unreachable, refused, unreadable, silence, closed, broken,
    unanswered, stopped, rotated, failed, or error_ and the exchange's own code. `at_once`: to wait would
    help nobody, though the limits of the exchange hold and what fails again and again is tried ever
    less. `retry_after` is the pause in seconds that the exchange demanded, 0 if it named none.
    """

    def __init__(
        self, cause: str, detail: str = "", *, at_once: bool = False, retry_after: float = 0.0
    ) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.at_once = at_once
        self.retry_after = retry_after


class ConfigurationError(FeedError):
    """The exchange does not know what we ask for: no later attempt can do better."""


class ShutdownAnnounced(Exception):
    """The exchange will end this connection soon; until then it is as good as any."""


class RawData(Protocol):
    """One ticker as the exchange sent it."""

    @property
    def symbol(self) -> str:
        """The exchange's own spelling; empty where the exchange did not say."""
        ...

    @property
    def sequence(self) -> int | None:
        """The exchange's numbering within a symbol: equal for what came on two connections."""
        ...

    def item(self) -> bytes:
        """Return the text of the Kafka item."""
        ...


@dataclass(frozen=True, slots=True)
class UnreadableRawData:
    """Text that is not what the exchange's documents promise; it travels on as it is.

    Bytes that are no UTF-8 become escapes like \\xff.
    """

    data: bytes
    received_at: int
    symbol: str = field(default="", init=False)
    sequence: None = field(default=None, init=False)

    def item(self) -> bytes:
        return unreadable_item(str(self.data, "utf-8", "backslashreplace"), self.received_at)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one connection goes. The URL may hold a token, so it is never shown; the host is.

    Raises ValueError for values that can't be right.
    """

    url: str = field(repr=False)
    ping_interval: float = inf
    """Seconds between the pings that the exchange wants in text; infinite where it wants none."""
    host: str = field(init=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("ws", "wss") or not address.hostname or address.port == 0:
            raise ValueError(f"{address.scheme}://{address.hostname} is no WebSocket address")
        if self.ping_interval <= 0:
            raise ValueError(f"a ping every {self.ping_interval} s")
        object.__setattr__(self, "host", address.hostname)


@dataclass(frozen=True, slots=True)
class Instrument:
    """What an exchange lists: one base in quote. Its symbol is the tickers' symbol.

    Raise TypeError for what is no text, ValueError for a text that is empty or not printable.
    """

    exchange: str
    symbol: str
    base: str
    quote: str
    status: str
    """TRADING, or why it does not, in the exchange's word; DELISTED when it left the list."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            word = getattr(self, name)
            if not isinstance(word, str):
                raise TypeError(f"{name} is {type(word).__name__}, not text")
            if not word or not word.isprintable():
                raise ValueError(f"{name} {word!r} is no word")


class SymbolList(NamedTuple):
    """What an exchange lists at one moment."""

    instruments: list[Instrument]
    unread: frozenset[str] = frozenset()
    """Symbols whose entries can't be read. They are listed, so they are not delisted."""


class Session(Protocol):
    """The exchange's protocol on one connection. `now` is a monotonic clock in seconds."""

    def due(self, now: float) -> list[str]:
        """The texts to send now. Raises FeedError when an answer of the exchange is overdue."""
        ...

    def receive(self, data: bytes, received_at: int) -> list[RawData]:
        """Read a frame's text that came at `received_at`, microseconds since the epoch.

        Control frames are acted on and bring none. Raises FeedError for those that end the
        connection, ShutdownAnnounced for one that says that it will end.
        """
        ...


class Feed(Protocol):
    """An exchange. The figures are the exchange's; exchange facts stand in its own module."""

    name: str
    backlog: int
    """Notices that may wait for the batcher: about half a minute of this feed."""
    batch_seconds: float
    """Seconds for which items are collected before they go to Kafka; 0 for a feed of arrays."""
    connect_interval: float
    """Seconds from one attempt to connect to the next, at least: the exchange's limit."""
    silence_limit: float
    """Seconds without a ticker after which a connection is dead, however lively its pings are."""
    age_limit: float
    """Seconds after which a connection is replaced: less than the exchange's own limit."""
    ban: Ban
    """Obeyed by every request to this exchange, the WebSocket handshake included."""

    def endpoint(self, deadline: Deadline) -> Endpoint:
        """Ask where to connect to, until the deadline. Raise FeedError or OSError."""
        ...

    def session(self, endpoint: Endpoint, now: float) -> Session:
        """The protocol on a connection that was opened at `now`."""
        ...

    def symbol_of(self, item: Item) -> str:
        """As RawData.symbol, of an item that was journalled."""
        ...

    def instruments(self) -> SymbolList:
        """Ask what the exchange lists, for up to a minute. Raise FeedError or OSError."""
        ...


def read_sequence(value: object) -> int | None:
    """Return the number that an exchange wrote as a number or as its digits; None for anything else.

    Exchanges change from the one to the other (Kucoin/kucoin-futures-go-sdk issue 17).
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 10**SEQUENCE_DIGITS else None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value) if len(value) <= SEQUENCE_DIGITS else None
    return None
