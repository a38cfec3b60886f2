"""Options of both clients."""

from collections.abc import Callable, Iterable
from typing import TypedDict

from crypto_prices.events import Event

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Maximum size of a message: a snapshot of 3,500 prices takes 3 MB."""


class Options(TypedDict, total=False):
    """Which prices to follow, which of their fields, and how."""

    exchange: str | Iterable[str]
    base: str | Iterable[str]
    quote: str | Iterable[str]
    symbol: str | Iterable[str]
    status: str
    fields: Iterable[str]
    key: str
    """The server's API key; empty if it has none."""
    on_event: Callable[[Event], object]
    """Called with each event, on the thread or in the task of the connection."""
    open_timeout: float
    """Seconds to wait for the first prices; 10 by default."""


def parameters(options: Options) -> dict[str, str | Iterable[str] | None]:
    """Return the query parameters of the stream. Raise TypeError for an unknown option."""
    for name in options:
        if name not in Options.__annotations__:
            raise TypeError(
                f"unknown option {name!r}; the options are {', '.join(Options.__annotations__)}"
            )
    fields = options.get("fields")
    return {
        "exchange": options.get("exchange"),
        "base": options.get("base"),
        "quote": options.get("quote"),
        "symbol": options.get("symbol"),
        "status": options.get("status"),
        "fields": None if fields is None else ",".join(fields),
        "events": "interruptions",
    }


def headers(options: Options) -> dict[str, str]:
    key = options.get("key")
    return {"Authorization": f"Bearer {key}"} if key else {}
