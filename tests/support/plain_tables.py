"""Compute the live job's tables from raw messages in plain Python, sharing no code with the job."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from pyspark.sql import Row

from exchanges.binance import BINANCE

MILLISECOND, SECOND, MINUTE = 1_000, 1_000_000, 60_000_000
AHEAD_LIMIT = 5 * MINUTE

# The columns that newest() and candles() return.
LIVE = """
SELECT exchange, symbol, price, sequence, event_time, received_at, partition, "offset", position
FROM live_prices
"""
CANDLES = "SELECT * FROM candles_1m"


class Ticker(NamedTuple):
    """Times in microseconds since the epoch."""

    exchange: str
    symbol: str
    price: Decimal
    sequence: int
    event_time: int
    received_at: int
    partition: int
    offset: int
    position: int


def tickers_of(read: Iterable[Row | Mapping[str, Any]]) -> list[Ticker]:
    """Return the tickers of records. The caller must pass each record once."""
    found = []
    for row in read:
        for position, each in enumerate(json.loads(row["value"])):
            location = (row["partition"], row["offset"], position)
            receipt = each["received_at"]
            if row["topic"] == BINANCE.raw_topic:
                event = each["E"] * MILLISECOND
                values = ("binance", each["s"], Decimal(each["c"]), each["E"], event)
            else:
                data = each["data"]
                price, sequence = Decimal(data["price"]), int(data["sequence"])
                values = ("kucoin", each["subject"], price, sequence, receipt)
            found.append(Ticker(*values, receipt, *location))
    return found


def newest(tickers: Iterable[Ticker]) -> set[tuple[Any, ...]]:
    def age(ticker: Ticker) -> tuple[int, ...]:
        return (ticker.received_at // MINUTE, ticker.sequence, ticker.received_at, *ticker[-3:])

    by_symbol = {(ticker.exchange, ticker.symbol): ticker for ticker in sorted(tickers, key=age)}
    return {
        (*ticker[:4], moment(ticker.event_time), moment(ticker.received_at), *ticker[-3:])
        for ticker in by_symbol.values()
    }


def has_candle(ticker: Ticker) -> bool:
    return ticker.event_time <= ticker.received_at + AHEAD_LIMIT


def candles(tickers: Iterable[Ticker]) -> set[tuple[Any, ...]]:
    found: dict[tuple[str, str, datetime], list[Any]] = {}
    in_order = sorted(tickers, key=lambda ticker: (ticker.sequence, ticker.price))
    for ticker in filter(has_candle, in_order):
        price, sequence = ticker.price, ticker.sequence
        key = (ticker.exchange, ticker.symbol, moment(ticker.event_time // MINUTE * MINUTE))
        opened, high, low, _, first, _, updates = found.setdefault(
            key, [price, price, price, price, sequence, sequence, 0]
        )
        found[key] = [
            *(opened, max(high, price), min(low, price), price),
            *(first, sequence, updates + 1),
        ]
    return {(*key, *values) for key, values in found.items()}


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
