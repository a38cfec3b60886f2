"""Messages are counted together with the rows that they are reduced to, without Spark."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from exchanges.kucoin import KUCOIN
from spark_jobs.history.message_counts import COUNTED, IS_MESSAGE, IS_RECEIPT, read_and_count
from spark_jobs.tickers.columns import polars_schema
from spark_jobs.tickers.messages import read_and_reduce
from tests.support.frames import BTCUSDT, CRO_USDT, RECEIPT, RECEIVED_AT, item
from tests.support.messages import frame, message

STAMP = datetime(2025, 3, 28, 7, 38, tzinfo=UTC)
MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
LATER = RECEIVED_AT + 60_000_000


def counted(*messages: dict[str, Any]) -> pl.DataFrame:
    found = frame(*messages)
    return read_and_count(found.with_columns(pl.int_range(pl.len()).alias("digest")))


def test_each_message_is_counted_by_what_became_of_its_items() -> None:
    rows = counted(
        message(
            [item(BTCUSDT), item(BTCUSDT, LATER), item(BTCUSDT, c="0"), "bad"], timestamp=STAMP
        ),
        message(b"no JSON", offset=1, timestamp=STAMP),
        message([], offset=2, timestamp=STAMP),
        message([item(CRO_USDT), item(CRO_USDT, bestBid="x")], KUCOIN.raw_topic),
    )
    assert rows.schema == polars_schema(COUNTED)
    found = rows.filter(pl.col("kind") == IS_MESSAGE).sort("exchange", "offset")
    columns = ("exchange", "offset", "digest", "stamped_at", "tickers", "no_price", "dead")
    assert found.select(*columns, "received_at").rows() == [
        ("binance", 0, 0, STAMP, 2, 1, 1, RECEIPT),
        ("binance", 1, 1, STAMP, 0, 0, 1, None),
        ("binance", 2, 2, STAMP, 0, 0, 0, None),
        ("kucoin", 0, 3, None, 2, 0, 0, RECEIPT),
    ]


def test_items_are_counted_by_partition_and_minute_of_receipt() -> None:
    rows = counted(
        message([item(BTCUSDT), item(BTCUSDT, LATER), item(BTCUSDT, LATER, c="0"), "bad"]),
        message([item(BTCUSDT, c="abc")], partition=1),
    )
    found = rows.filter(pl.col("kind") == IS_RECEIPT).sort("partition", "minute")
    assert found.select("exchange", "partition", "minute", "updates").rows() == [
        ("binance", 0, MINUTE, 1),
        ("binance", 0, MINUTE + timedelta(minutes=1), 2),
        ("binance", 1, MINUTE, 1),
    ]


def test_the_other_rows_are_those_of_the_live_job() -> None:
    messages = frame(message([item(BTCUSDT), item(BTCUSDT, LATER), item(BTCUSDT, c="0"), "bad"]))
    reduced = read_and_reduce(messages)
    found = read_and_count(messages.with_columns(pl.lit(7, pl.Int64).alias("digest")))
    others = found.filter(~pl.col("kind").is_in([IS_MESSAGE, IS_RECEIPT]))
    order = ["kind", "minute", "position"]
    assert others.select(reduced.columns).sort(order).equals(reduced.sort(order))
