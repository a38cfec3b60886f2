"""Test that Spark, with Arrow and Python workers, turns literal Kafka records into the expected rows."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.messages import messages, minutes
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    RECEIPT,
    item,
    read,
    record,
    records,
    reduced,
    reduced_rows,
    table,
)
from tests.support.spark_settings import spark_settings

AMOUNT = "DECIMAL(38,18)"
READ = (
    f"exchange STRING, symbol STRING, price {AMOUNT}, bid {AMOUNT}, bid_size {AMOUNT}, ask {AMOUNT},"
    f" ask_size {AMOUNT}, last_size {AMOUNT}, open_24h {AMOUNT}, high_24h {AMOUNT}, low_24h {AMOUNT},"
    f" base_volume_24h {AMOUNT}, quote_volume_24h {AMOUNT}, traded_at TIMESTAMP, event_time TIMESTAMP,"
    " sequence LONG, received_at TIMESTAMP, endpoint STRING, topic STRING, partition INT, offset LONG,"
    " position INT, kind STRING, field STRING, reason STRING, payload BINARY"
)
REDUCED = (
    f"{READ}, minute TIMESTAMP, open {AMOUNT}, high {AMOUNT}, low {AMOUNT}, close {AMOUNT},"
    " open_sequence LONG, close_sequence LONG, updates LONG, first_offset LONG, last_offset LONG"
)
MESSAGE = (
    "value BINARY, endpoint STRING, timestamp TIMESTAMP, topic STRING, partition INT, offset LONG"
)

EVENT = datetime(2025, 3, 28, 7, 37, 28, 467000, tzinfo=UTC)
TRADE = datetime(2025, 3, 28, 7, 33, 18, 992000, tzinfo=UTC)
MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
BINANCE_HOST, KUCOIN_HOST = "stream.binance.com", "ws-api-spot.kucoin.com"

DAY = tuple(map(Decimal, ("87304.35", "87728.27", "85300.01", "20230.79019", "1754434346.2569475")))
BOOK = (Decimal("0.10596"), Decimal(2160), None, Decimal("2522.2"), Decimal("159.3256"))
SEQUENCE = 1743147448467

# One record of each exchange: a ticker and a dead letter; a ticker whose ask can't be read.
BTC = json.dumps(item(BTCUSDT))
RECORDS = (
    record(f'[{BTC}, {{"s" : "币"}}]'.encode(), partition=3, offset=17),
    record([item(CRO_USDT, bestAsk="")], KUCOIN.raw_topic, offset=4, endpoint=KUCOIN_HOST),
)
BTC_PLACE = (RECEIPT, BINANCE_HOST, BINANCE.raw_topic, 3, 17)
CRO_PLACE = (RECEIPT, KUCOIN_HOST, KUCOIN.raw_topic, 0, 4)
NO_TICKER: tuple[Any, ...] = (*[None] * 11, None, None, None)
TICKER = ("ticker", None, None, None)
BTC_ROW = (
    *("binance", "BTCUSDT", Decimal("85439.99"), *[None] * 5, *DAY, None, EVENT, SEQUENCE),
    *(*BTC_PLACE, 0, *TICKER),
)
DEAD_ROW = (
    *("binance", None, *NO_TICKER, None, *BTC_PLACE[1:], 1),
    *("dead_letter", None, "event_time is missing", '{"s" : "币"}'.encode()),
)
SPAN_ROW = (
    *("binance", None, *NO_TICKER, None, None, BINANCE.raw_topic, 3, 17, None),
    *("dead_span", None, "event_time is missing", b"\x02"),
)
CRO_ROW = (
    *("kucoin", "CRO-USDT", Decimal("0.10604"), *BOOK, *[None] * 5, TRADE, RECEIPT, 915875484),
    *(*CRO_PLACE, 0, *TICKER),
)
UNREAD_ROW = (
    *("kucoin", "CRO-USDT", *NO_TICKER, *CRO_PLACE, 0),
    *("unread", "ask", "is empty", b""),
)
ORDER = ("exchange", "kind", "offset")


def test_a_record_becomes_a_message_with_the_host_that_its_header_says(spark: SparkSession) -> None:
    stamp = datetime(2025, 3, 28, 7, 37, 29, tzinfo=UTC)
    actual = messages(
        records(
            spark,
            record(b"\xff", partition=3, offset=17, timestamp=stamp),
            record(None, KUCOIN.raw_topic, endpoint="[::1]:9443"),
        )
    )
    expected = table(
        spark,
        [
            (b"\xff", BINANCE_HOST, stamp, "binance_raw_data", 3, 17),
            (None, "[::1]:9443", None, "kucoin_raw_data", 0, 0),
        ],
        MESSAGE,
    )
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_an_endpoint_that_is_no_host_is_null(spark: SparkSession) -> None:
    no_hosts = [None, b"", b"a host", b"a\x00b", b"a\n", b"\xff", b"x" * 256]
    read = messages(records(spark, *(record([{}], endpoint=endpoint) for endpoint in no_hosts)))
    assert [row["endpoint"] for row in read.collect()] == [None] * len(no_hosts)


def test_records_of_both_exchanges_become_tickers_dead_letters_and_unread_fields(
    spark: SparkSession,
) -> None:
    expected = table(spark, [DEAD_ROW, BTC_ROW, CRO_ROW, UNREAD_ROW], READ)
    assert_df_equality(read(spark, *RECORDS).orderBy(*ORDER), expected, ignore_nullable=True)


def test_records_become_a_row_per_symbol_and_minute_of_each_arrow_batch(
    spark: SparkSession,
) -> None:
    newer = record([item(BTCUSDT, c="2", E=SEQUENCE + 1)], partition=3, offset=18)
    with spark_settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": "1"}):
        actual = reduced_rows(spark, reduced(spark, *RECORDS, newer)).orderBy(*ORDER)
        price, second, one = Decimal("85439.99"), Decimal(2), (1, 17, 17)
        newer_row = (
            *("binance", "BTCUSDT", second, *[None] * 5, *DAY, None),
            *(EVENT.replace(microsecond=468000), SEQUENCE + 1, *BTC_PLACE[:-1], 18, 0, *TICKER),
        )
        cro = Decimal("0.10604")
        expected = table(
            spark,
            [
                (*DEAD_ROW, *[None] * 7, 0, 17, 17),
                (*SPAN_ROW, *[None] * 7, *one),
                (*BTC_ROW, MINUTE, *[price] * 4, SEQUENCE, SEQUENCE, *one),
                (*newer_row, MINUTE, *[second] * 4, SEQUENCE + 1, SEQUENCE + 1, 1, 18, 18),
                (*CRO_ROW, MINUTE, *[cro] * 4, 915875484, 915875484, 1, 4, 4),
                (*UNREAD_ROW, *[None] * 7, 1, 4, 4),
            ],
            REDUCED,
        )
        assert_df_equality(actual, expected, ignore_nullable=True)


def test_records_of_one_arrow_batch_are_reduced_to_one_row_of_a_symbol(spark: SparkSession) -> None:
    rows = [record([item(BTCUSDT, c=str(n), E=SEQUENCE + n)], offset=n) for n in (1, 3, 2)]
    columns = ("price", "open", "close", "updates", "first_offset", "last_offset")
    streams = minutes(messages(records(spark, *rows).coalesce(1)))
    found = reduced_rows(spark, streams).select(*columns).collect()
    assert found == [(Decimal(3), Decimal(1), Decimal(3), 3, 1, 3)]


def test_records_without_any_item_become_no_rows(spark: SparkSession) -> None:
    assert read(spark, record([])).collect() == []
    assert reduced(spark, record([])).collect() == []
    assert reduced_rows(spark, reduced(spark, record([]))).collect() == []
