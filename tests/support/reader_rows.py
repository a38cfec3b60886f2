"""Convert rows of `raw/` and `tickers/` from any reader to a common form.

Uses only the standard library, because programs in other environments import it.
"""

from calendar import timegm
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from operator import index
from typing import Any


def raw_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """Return the records as lists of JSON values, sorted. Raise TypeError if an hour is not an integer."""
    return sorted((_raw_row(row) for row in rows), key=str)


def _raw_row(row: Mapping[str, Any]) -> list[Any]:
    return [
        row["topic"],
        str(row["date"])[:10],
        index(row["hour"]),
        int(row["partition"]),
        int(row["offset"]),
        _text(row["key"]),
        _text(row["value"]),
        _micros(row["timestamp"]),
        [[header["key"], _text(header["value"])] for header in row["headers"]],
    ]


def ticker_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """Return the tickers as lists of JSON values, sorted."""
    return sorted((_ticker_row(row) for row in rows), key=str)


def _ticker_row(row: Mapping[str, Any]) -> list[Any]:
    return [
        row["topic"],
        int(row["partition"]),
        int(row["offset"]),
        int(row["position"]),
        row["exchange"],
        row["symbol"],
        str(Decimal(row["price"]).normalize()),
        _micros(row["received_at"]),
        str(row["date"])[:10],
    ]


def _text(value: Any) -> str | None:
    """Return bytes as text, one character per byte."""
    return None if value is None else bytes(value).decode("latin-1")


def _micros(time: datetime | int) -> int:
    """Return microseconds since the epoch. A time without zone is UTC; a number is unchanged."""
    if isinstance(time, int):
        return time
    return timegm(time.utctimetuple()) * 1_000_000 + time.microsecond
