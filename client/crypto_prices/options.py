"""Options of both clients."""

from collections.abc import Callable, Iterable
from typing import TypedDict

from crypto_prices.events import Event

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Maximum size of a message: a snapshot of 3,500 prices takes some 2 MB."""


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


def parameters(options: Options) -> dict[str, tuple[str, ...]]:
    """Return the stream's query parameters, each with its values.

    The values are copied: an option may be an iterator, and every connection needs its values again.
    Raise TypeError for an unknown option, and ValueError for one without a value.
    """
    for name in options:
        if name not in Options.__annotations__:
            raise TypeError(
                f"unknown option {name!r}; the options are {', '.join(Options.__annotations__)}"
            )
    given = {
        "exchange": options.get("exchange"),
        "base": options.get("base"),
        "quote": options.get("quote"),
        "symbol": options.get("symbol"),
        "status": options.get("status"),
        "fields": options.get("fields"),
    }
    chosen = {name: _values(name, value) for name, value in given.items() if value is not None}
    if "fields" in chosen:
        chosen["fields"] = (",".join(chosen["fields"]),)
    return chosen | {"events": ("interruptions",)}


def _values(name: str, value: str | Iterable[str]) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else tuple(value)
    if not values:
        raise ValueError(f"{name} is empty: expected at least one value")
    return values


def headers(options: Options) -> dict[str, str]:
    key = options.get("key")
    return {"Authorization": f"Bearer {key}"} if key else {}
