"""A row of live_prices, as the JSON object that every answer and every stream is joined from.

    {"exchange":"binance","symbol":"BTCUSDT","price":"85439.99","bid":null,"bid_size":null,
     "ask":null,"ask_size":null,"last_size":null,"open_24h":"87210.01","high_24h":"87488.45",
     "low_24h":"83585","base_volume_24h":"31414.60823","quote_volume_24h":"2676538125.4912",
     "traded_at":null,"event_time":"2025-03-28T07:37:28.467000Z","sequence":1743147448467,
     "received_at":"2025-03-28T07:37:28.501233Z","endpoint":"stream.binance.com",
     "topic":"binance_raw_data","partition":2,"offset":1042,"position":17,"batch_id":311,
     "simulated":false}

Amounts are strings, exact and in plain notation, so that no reader turns them into floats. Times
are ISO-8601, UTC, with microseconds.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from server.provenance import is_simulated

COLUMNS = (
    "exchange",
    "symbol",
    "price",
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "last_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "base_volume_24h",
    "quote_volume_24h",
    "traded_at",
    "event_time",
    "sequence",
    "received_at",
    "endpoint",
    "topic",
    "partition",
    "offset",
    "position",
    "batch_id",
)


class Price(NamedTuple):
    """What the server must know of a row by itself, and the row as JSON, made once."""

    exchange: str
    symbol: str
    price: Decimal
    traded_at: datetime | None
    received_at: datetime
    endpoint: str | None
    batch_id: int
    json: str


def price_of(row: Sequence[Any]) -> Price:
    """The values of COLUMNS in their order, as psycopg2 reads them."""
    fields = dict(zip(COLUMNS, row, strict=True))
    fields["simulated"] = is_simulated(fields["endpoint"])
    # The encoder escapes non-ASCII. Pure ASCII, a message is only copied when it is sent.
    return Price(
        exchange=fields["exchange"],
        symbol=fields["symbol"],
        price=fields["price"],
        traded_at=fields["traded_at"],
        received_at=fields["received_at"],
        endpoint=fields["endpoint"],
        batch_id=fields["batch_id"],
        json=_encode(fields),
    )


def _text(value: object) -> str:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return instant(value)
    raise TypeError(f"{value!r} has no JSON form here")


_encode = json.JSONEncoder(default=_text, separators=(",", ":")).encode


def plain(amount: Decimal) -> str:
    """Every digit, no exponent, no zeros at the end: "85439.99", "0.00000001", "120"."""
    digits = f"{amount:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def instant(time: datetime) -> str:
    """2025-03-28T07:37:28.501233Z. The time must know its zone."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
