"""Build the answers to KuCoin's `GET /api/v1/market/…` from the fields of its streams. Pure.

Fields that a recording lacks are null.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from infra.replay.kucoin.frames import decimal_text

Fields = Mapping[str, Any]

FEES = {
    "takerFeeRate": "0.001",
    "makerFeeRate": "0.001",
    "takerCoefficient": "1",
    "makerCoefficient": "1",
}


def level1(fields: Fields) -> dict[str, Any]:
    """Return only the fields of the ticker, without the day's figures."""
    names = ("time", "sequence", "price", "size", "bestBid", "bestBidSize", "bestAsk")
    return {name: fields.get(name) for name in (*names, "bestAskSize")}


def of_all(symbol: str, name: str, fields: Fields) -> dict[str, Any]:
    """Return an item of `allTickers`."""
    sizes = {"bestBidSize": fields.get("bestBidSize"), "bestAskSize": fields.get("bestAskSize")}
    return {"symbol": symbol, "symbolName": name, **sizes, **_day(fields)}


def stats(symbol: str, fields: Fields, now: int) -> dict[str, Any]:
    """Return an answer of `stats`. `now` is in milliseconds."""
    return {"time": now, "symbol": symbol, **_day(fields)}


def _day(fields: Fields) -> dict[str, Any]:
    return {
        "buy": fields.get("bestBid"),
        "sell": fields.get("bestAsk"),
        **_change(fields),
        "high": fields.get("high"),
        "low": fields.get("low"),
        "vol": fields.get("vol"),
        "volValue": fields.get("volValue"),
        "last": fields.get("price"),
        **FEES,
    }


def _change(fields: Fields) -> dict[str, str | None]:
    if not fields.get("open") or not fields.get("price"):
        return {"changeRate": None, "changePrice": None, "averagePrice": None}
    opened, volume = Decimal(fields["open"]), Decimal(fields["vol"])
    change = Decimal(fields["price"]) - opened
    mean = Decimal(fields["volValue"]) / volume if volume else opened
    return {
        "changeRate": f"{change / opened:.4f}",
        "changePrice": decimal_text(change),
        "averagePrice": f"{mean:.8f}",
    }
