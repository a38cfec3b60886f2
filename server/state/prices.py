"""Read rows of live_prices as JSON objects, of which answers and streams are composed.

    {"exchange":"binance","symbol":"BTCUSDT","base":"BTC","quote":"USDT","status":"TRADING",
     "price":"85439.99","bid":null,"bid_size":null,"ask":null,"ask_size":null,"last_size":null,
     "open_24h":"87210.01","high_24h":"87488.45","low_24h":"83585",
     "base_volume_24h":"31414.60823","quote_volume_24h":"2676538125.4912",
     "traded_at":null,"event_time":"2025-03-28T07:37:28.467000Z","sequence":1743147448467,
     "received_at":"2025-03-28T07:37:28.501233Z","endpoint":"stream.binance.com",
     "topic":"binance_raw_data","partition":2,"offset":1042,"position":17,"batch_id":311,
     "simulated":false}

Base, quote and status are those of the instrument; null until the exchange's list has the symbol.

Amounts are strings, exact and without exponent, so that no reader parses them as floats. Times are
ISO 8601, UTC, with microseconds. Postgres writes the object. The server adds `simulated` and
otherwise copies the text, so serialising does not hold up the streams. Only with `fields=` does it
encode the object again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from server.state.provenance import is_simulated

# SQL that formats a column as `plain` and `instant` do.
AMOUNT = 'trim_scale("{0}")::text AS "{0}"'
INSTANT = """to_char("{0}" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS "{0}\""""
UNCHANGED = '"{0}"'

COLUMNS = {
    "exchange": UNCHANGED,
    "symbol": UNCHANGED,
    "base": UNCHANGED,
    "quote": UNCHANGED,
    "status": UNCHANGED,
    "price": AMOUNT,
    "bid": AMOUNT,
    "bid_size": AMOUNT,
    "ask": AMOUNT,
    "ask_size": AMOUNT,
    "last_size": AMOUNT,
    "open_24h": AMOUNT,
    "high_24h": AMOUNT,
    "low_24h": AMOUNT,
    "base_volume_24h": AMOUNT,
    "quote_volume_24h": AMOUNT,
    "traded_at": INSTANT,
    "event_time": INSTANT,
    "sequence": UNCHANGED,
    "received_at": INSTANT,
    "endpoint": UNCHANGED,
    "topic": UNCHANGED,
    "partition": UNCHANGED,
    "offset": UNCHANGED,
    "position": UNCHANGED,
    "batch_id": UNCHANGED,
}

FIELDS = (*COLUMNS, "simulated")
"""Keys of a price's JSON object, in their order."""

KEY = ("exchange", "symbol")

PRICES_AFTER = f"""
SELECT exchange, symbol, base, quote, status, price, traded_at, received_at, endpoint, batch_id,
    (SELECT row_to_json(shown)::text FROM (
        SELECT {", ".join(form.format(name) for name, form in COLUMNS.items())}
    ) AS shown)
FROM live_prices LEFT JOIN instruments USING (exchange, symbol)
WHERE batch_id > %s AND exchange = ANY (%s)
"""


class Price(NamedTuple):
    """The columns that the server itself uses, and the whole row as JSON, built once."""

    exchange: str
    symbol: str
    base: str | None
    quote: str | None
    status: str | None
    price: Decimal
    traded_at: datetime | None
    received_at: datetime
    endpoint: str | None
    batch_id: int
    json: str


def price_of(row: Sequence[Any]) -> Price:
    """Return the price of a row of PRICES_AFTER."""
    price = Price(*row)
    simulated = "true" if is_simulated(price.endpoint) else "false"
    return price._replace(json=f'{price.json[:-1]},"simulated":{simulated}}}')


def selected(price: Price, fields: frozenset[str]) -> str:
    """Return the price's JSON with its key and these fields only."""
    row = orjson.loads(price.json)
    return orjson.dumps({name: row[name] for name in row if name in fields or name in KEY}).decode()


def plain(amount: Decimal) -> str:
    """Return every digit, without exponent or trailing zeros: "85439.99", "0.00000001", "120"."""
    digits = f"{amount:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def instant(time: datetime) -> str:
    """Return ISO 8601 in UTC: 2025-03-28T07:37:28.501233Z. `time` must have a time zone."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
