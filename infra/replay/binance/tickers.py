"""Build the answers to Binance's `GET /api/v3/ticker/…` from the fields of its streams. Pure.

Fields that a recording lacks are zero, as for a symbol without an order book.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from infra.replay.binance.frames import decimal_text

Fields = Mapping[str, Any]

ZERO = "0.00000000"
DAY_MS = 24 * 3600 * 1000


def price(symbol: str, fields: Fields) -> dict[str, Any]:
    return {"symbol": symbol, "price": fields.get("c", ZERO)}


def book(symbol: str, fields: Fields) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "bidPrice": fields.get("b", ZERO),
        "bidQty": fields.get("B", ZERO),
        "askPrice": fields.get("a", ZERO),
        "askQty": fields.get("A", ZERO),
    }


def mini(symbol: str, fields: Fields) -> dict[str, Any]:
    """Return a MINI ticker. Its trade ids are -1, as Binance sends for a symbol without trades."""
    closed_at = fields.get("E", 0)
    return {
        "symbol": symbol,
        "openPrice": fields.get("o", ZERO),
        "highPrice": fields.get("h", ZERO),
        "lowPrice": fields.get("l", ZERO),
        "lastPrice": fields.get("c", ZERO),
        "volume": fields.get("v", ZERO),
        "quoteVolume": fields.get("q", ZERO),
        "openTime": max(0, closed_at - DAY_MS),
        "closeTime": closed_at,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }


def full(symbol: str, fields: Fields) -> dict[str, Any]:
    open_price = Decimal(fields.get("o", ZERO))
    change = Decimal(fields.get("c", ZERO)) - open_price
    volume = Decimal(fields.get("v", ZERO))
    mean_price = Decimal(fields.get("q", ZERO)) / volume if volume else Decimal(0)
    return {
        "symbol": symbol,
        "priceChange": decimal_text(change),
        "priceChangePercent": f"{change / open_price * 100 if open_price else Decimal(0):.3f}",
        "weightedAvgPrice": decimal_text(mean_price),
        "prevClosePrice": fields.get("o", ZERO),
        "lastQty": fields.get("Q", ZERO),
        **book(symbol, fields),
        **mini(symbol, fields),
    }
