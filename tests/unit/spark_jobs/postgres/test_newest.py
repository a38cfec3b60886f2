"""The newest ticker of each symbol in a batch is written."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from spark_jobs.postgres.price_sink import newest_of
from spark_jobs.tickers.columns import TICKER, arrow_schema

SCHEMA = arrow_schema(TICKER)


def ticker(symbol: str, sequence: int, minute: int = 0, partition: int = 0) -> dict[str, Any]:
    return {
        "exchange": "binance",
        "symbol": symbol,
        "sequence": sequence,
        "received_at": datetime(2026, 11, 26, 12, minute, tzinfo=UTC),
        "partition": partition,
        "offset": 1,
        "position": 1,
    }


def newest(*tickers: dict[str, Any]) -> set[tuple[str, int, int]]:
    found = newest_of(pa.Table.from_pylist([*tickers], SCHEMA))
    return set(found.select("symbol", "sequence", "partition").rows())


def test_of_a_symbol_with_several_rows_the_newest_is_taken() -> None:
    assert newest(
        ticker("BTCUSDT", 3, partition=1), ticker("BTCUSDT", 2, partition=2), ticker("ETHUSDT", 1)
    ) == {("BTCUSDT", 3, 1), ("ETHUSDT", 1, 0)}


def test_a_later_minute_wins_over_a_higher_sequence() -> None:
    assert newest(ticker("BTCUSDT", 9), ticker("BTCUSDT", 1, minute=1)) == {("BTCUSDT", 1, 0)}


def test_symbols_of_one_row_each_are_all_taken() -> None:
    assert newest(ticker("BTCUSDT", 1), ticker("ETHUSDT", 1)) == {
        ("BTCUSDT", 1, 0),
        ("ETHUSDT", 1, 0),
    }


def test_a_batch_without_tickers_has_none() -> None:
    assert newest() == set()
