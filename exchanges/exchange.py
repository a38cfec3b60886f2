"""Describe an exchange: facts are values, the protocol is functions that take and return text.

Nothing here opens a connection. A function that needs the exchange's REST server is a generator: it
yields each `Request`, is sent the text of the response, and returns its result.
"""

import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from math import isfinite
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

SEQUENCE_DIGITS = 19
"""Maximum number of digits of a sequence."""

LONGEST_DETAIL = 200
"""Maximum length of an exchange's own text in an error, in characters."""

CUT = "…"
"""Replaces text that is left out of an error."""

Addresses = Mapping[str, str]
"""Base URLs, such as {"rest": "https://api.kucoin.com"}."""


class Request(NamedTuple):
    """A request to the exchange's REST server."""

    method: str
    url: str


Result = TypeVar("Result")
Asking = Generator[Request, str, Result]
"""Generator that yields requests, is sent the text of each response, and returns a result."""


class ExchangeError(Exception):
    """Reason why a connection ended, or why an attempt to connect or a request failed.

    `cause` is a label for counting: unreachable, refused, unreadable, silence, closed, broken,
    unanswered, stopped, rotated, failed, or error_<the exchange's own code>. `at_once` skips the
    random pause on the first failure; rate limits still apply. `retry_after` is the pause in
    seconds that the exchange demanded (0 if none). `status` is that of a refused HTTP request, otherwise 0.

    Cause and detail may contain the exchange's own text, so each is reduced to `one_line`: the error's text
    becomes part of a message in Kafka and of a row in Postgres, which accepts no NUL.
    """

    def __init__(
        self,
        cause: str,
        detail: str = "",
        *,
        at_once: bool = False,
        retry_after: float = 0.0,
        status: int = 0,
    ) -> None:
        self.cause = one_line(cause)
        super().__init__(f"{self.cause}: {one_line(detail)}" if detail else self.cause)
        self.at_once = at_once
        self.retry_after = retry_after
        self.status = status


class ConfigurationError(ExchangeError):
    """A retry is useless: the exchange does not know the subscribed topic, or the proxy is unusable."""


class InvalidRequestError(ExchangeError):
    """Retrying this request is useless, for example because the symbol is unknown. Others may succeed."""


class ShutdownAnnounced(Exception):
    """The exchange will close this connection soon. Until then the connection works as before."""


@dataclass(slots=True)
class RawData:
    """One ticker. `text` is exactly what the exchange sent."""

    text: bytes
    symbol: str
    """In the exchange's spelling; empty if the exchange sent none."""
    sequence: int | None
    """Number that orders the tickers of a symbol; the exchange sends the same one on every connection."""


@dataclass(slots=True)
class UnreadableRawData:
    """Text that does not match the exchange's documentation, kept unchanged."""

    text: bytes
    symbol: str = field(default="", init=False)
    sequence: None = field(default=None, init=False)


Received = RawData | UnreadableRawData


class Session(Protocol):
    """The exchange's protocol on one connection. `now` is a monotonic clock in seconds."""

    def due(self, now: float) -> list[str]:
        """Return the texts to send now. Raise ExchangeError if an answer is overdue."""
        ...

    def receive(self, data: bytes) -> list[Received]:
        """Return the tickers of one frame. Handle a control frame, and return an empty list for it.

        Raise ExchangeError for a frame that ends the connection, and ShutdownAnnounced for a frame
        that announces the end.
        """
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Address and protocol of one connection.

    `repr` shows only the host, because the URL may contain a token. Raise ValueError if the URL is
    not that of a WebSocket, with a host in ASCII.
    """

    url: str = field(repr=False)
    session: Callable[[float], Session] = field(repr=False)
    """Return the session of a connection that was opened at this monotonic time."""
    host: str = field(init=False)

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        is_usable = address.hostname and address.netloc.isascii() and address.port != 0
        if address.scheme not in ("ws", "wss") or not is_usable:
            raise ValueError(f"{address.scheme}://{address.hostname} is not a WebSocket address")
        object.__setattr__(self, "host", address.hostname)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One entry of an exchange's symbol list. Its symbol is spelled as in the tickers.

    Raise TypeError for a field that is not text, ValueError for one that is empty or not printable.
    """

    exchange: str
    symbol: str
    base: str
    quote: str
    status: str
    """TRADING, the exchange's word for any other state, or DELISTED after it left the list."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(f"{name} is {type(value).__name__}, not text")
            if not value or not value.isprintable():
                raise ValueError(f"{name} {value!r} is empty or not printable")


class Form(Enum):
    """How an exchange writes a value."""

    NAME = auto()
    """A text of 1 to 100 characters."""
    AMOUNT = auto()
    """A decimal, quoted or not, with or without an exponent."""
    INTEGER = auto()
    """A whole number of up to 64 bits, quoted or not."""
    SECONDS = auto()
    """A time, in seconds since the epoch."""
    MILLISECONDS = auto()
    """A time, in milliseconds since the epoch."""
    MICROSECONDS = auto()
    """A time, in microseconds since the epoch."""
    ISO_8601 = auto()
    """A time such as 2025-03-28T07:37:28.501233Z, in UTC, with up to nine decimals."""


Path = tuple[str, ...]
"""Location of a value in a ticker: one key per level of nesting."""


@dataclass(frozen=True, slots=True)
class Field:
    """Location of a value in a ticker, and its form.

    `former` are the paths that the exchange used before, newest first, so that its earlier messages can
    still be read. The value is the first one that is written and is not null.
    """

    path: Path
    form: Form
    former: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.path, *self.former


def written_at(paths: Iterable[Path], ticker: object) -> Any:
    """Return the value of a decoded ticker at the first path that has one; None if none has."""
    for path in paths:
        found = ticker
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return found
    return None


CANDLE_SECONDS: Mapping[str, int] = {"1m": 60, "1h": 3600, "1d": 86_400}
"""Intervals of an exchange's candles, narrowest first, and their widths in seconds."""


class CandleSpan(NamedTuple):
    """The candles of a symbol that start at `start` or later, and before `end`."""

    symbol: str
    interval: str
    """One of CANDLE_SECONDS."""
    start: int
    """In seconds since the epoch, like `end`."""
    end: int


class Turnover(NamedTuple):
    """Last price of a symbol, and its traded volume of the last 24 hours, both in the quote currency."""

    price: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSource:
    """Description of an exchange's own candles, which are made of trades.

    A response has an array of candles, and each candle is an array of values.
    """

    request: Callable[[Addresses, CandleSpan], Asking[str]]
    """Request the candles of a span of up to `limit` candles. Return the text of the response, which may
    contain candles outside the span. Raise ExchangeError if it contains no array of candles."""
    turnovers: Callable[[Addresses], Asking[dict[str, Turnover]]]
    """Request the turnover of each symbol: candles of the most traded pairs are requested first."""
    limit: int
    """Maximum number of candles in a response."""
    request_interval: float
    """Minimum seconds between requests, which keeps the rate at a third of what the exchange allows."""
    path: tuple[str, ...] = ()
    """Keys of the array in the response."""
    columns: Mapping[str, tuple[int, Form]]
    """Position and form of each value in a candle: start, open, high, low and close are required;
    base_volume, quote_volume and trades are optional."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Description of an exchange. Times and limits stay within the exchange's documented figures."""

    name: str
    """Lower case; part of the names of topics and settings, and a label of metrics."""
    title: str
    """Display name."""
    domains: tuple[str, ...]
    """Domains of the real servers. A price from any other host counts as simulated."""
    addresses: Addresses
    """Default base URLs, without a path. The key `rest` defines the setting <NAME>_REST_URL."""
    reachable_path: str
    """Path at the `rest` address that needs no API key, to check that the exchange is reachable."""
    backlog: int
    """Maximum number of notices waiting for the journal: about 30 s of this exchange's frames."""
    batch_seconds: float
    """Seconds for which items are collected into a batch (default); 0 if each frame is a batch."""
    connect_interval: float
    """Minimum seconds from one attempt to connect to the next."""
    silence_limit: float
    """Seconds without a ticker after which a connection is closed (default)."""
    price_age_limit: float = 30.0
    """Age in seconds at which the newest price becomes stale (default)."""
    metrics_port: int
    """Default port of the extractor's metrics."""
    reset_header: str = ""
    """Response header, in lower case, with the milliseconds until the rate limit is reset, if any."""
    endpoint: Callable[[Addresses], Asking[Endpoint]]
    """Request the endpoint of the next connection."""
    symbol_list: Callable[[Addresses], Asking[object]]
    """Request the entries of the symbol list. `instrument` reads each of them."""
    symbol_key: str = "symbol"
    """Key of the symbol in an entry. It is read even if `instrument` rejects the entry, so that the symbol
    does not count as delisted."""
    instrument: Callable[[Any], Instrument]
    """Return the instrument of one entry. Raise LookupError, TypeError or ValueError if invalid."""
    fields: Mapping[str, Field]
    """Columns of a ticker; symbol and price are required.

    A missing `event_time` defaults to the time of receipt, a missing `sequence` to the event time.
    """
    candles: CandleSource | None = None
    """The exchange's own candles, if it serves any."""

    @property
    def raw_topic(self) -> str:
        """Name of the Kafka topic with the raw data of this exchange."""
        return f"{self.name}_raw_data"

    def symbol_of(self, ticker: object) -> str:
        """Return the symbol of a decoded ticker; empty if the exchange sent none."""
        found = written_at(self.fields["symbol"].paths, ticker)
        return found if isinstance(found, str) else ""


def read_sequence(value: object) -> int | None:
    """Return the sequence if the value is a JSON integer from 0 or a string of digits, otherwise None.

    Either has up to SEQUENCE_DIGITS digits.

    Exchanges switch between these forms (Kucoin/kucoin-futures-go-sdk issue 17).
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value < 10**SEQUENCE_DIGITS else None
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value) if len(value) <= SEQUENCE_DIGITS else None
    return None


def read_turnovers(entries: Sequence[Any], price: str, volume: str) -> dict[str, Turnover]:
    """Return the turnover of each entry. `price` and `volume` are the keys of its figures.

    Leave out an entry that can't be read, such as that of a new symbol: turnovers only rank the pairs.
    """
    turnovers: dict[str, Turnover] = {}
    for entry in entries:
        try:
            turnover = Turnover(float(entry[price]), float(entry[volume]))
            symbol = entry["symbol"]
        except (ValueError, LookupError, TypeError, OverflowError):
            continue
        # NaN can't be ranked.
        if isinstance(symbol, str) and all(map(isfinite, turnover)):
            turnovers[symbol] = turnover
    return turnovers


def coded_reason(answer: Mapping[str, object]) -> str:
    """Return code and message of an error, after a space.

    Return " code -1003: Too many requests" for {"code":-1003,"msg":"Too many requests"}.
    """
    message = answer.get("msg")
    return f" code {answer['code']}" + (f": {message}" if message else "")


def one_line(text: str) -> str:
    """Return up to LONGEST_DETAIL characters of a text, on one line, without any URL's query.

    A server may echo the request, which may contain a token.
    """
    text = re.sub(r"\?\S+", f"?{CUT}", text)
    line = "".join(each if each.isprintable() else " " for each in text).rstrip()
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 1] + CUT
