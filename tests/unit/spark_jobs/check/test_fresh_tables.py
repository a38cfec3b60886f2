"""Whole tables from records, both written out literally."""

from datetime import UTC, datetime
from decimal import Decimal

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from exchanges.kucoin import KUCOIN
from spark_jobs.check.fresh_tables import fresh_candles, fresh_live_prices
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    RECEIPT,
    RECEIVED_AT,
    item,
    record,
    reduced,
    reduced_rows,
    table,
)

AMOUNT = "DECIMAL(38,18)"
PRICES = (
    f"exchange STRING, symbol STRING, price {AMOUNT}, bid {AMOUNT}, bid_size {AMOUNT}, ask {AMOUNT},"
    f" ask_size {AMOUNT}, last_size {AMOUNT}, open_24h {AMOUNT}, high_24h {AMOUNT}, low_24h {AMOUNT},"
    f" base_volume_24h {AMOUNT}, quote_volume_24h {AMOUNT}, traded_at TIMESTAMP, event_time TIMESTAMP,"
    " sequence LONG, received_at TIMESTAMP, endpoint STRING, topic STRING, partition INT, offset LONG,"
    " position INT"
)
CANDLES = (
    f"exchange STRING, symbol STRING, minute TIMESTAMP, open {AMOUNT}, high {AMOUNT}, low {AMOUNT},"
    f" close {AMOUNT}, open_sequence LONG, close_sequence LONG, updates LONG"
)
HOST = "stream.binance.com"
WIDEST = "99999999999999999999.999999999999999999"
SMALLEST = "0.000000000000000001"
MINUTE = 60_000_000

# Minute of the frames in tests/support/frames.py, and the one after it.
FIRST_MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
SECOND_MINUTE = datetime(2025, 3, 28, 7, 38, tzinfo=UTC)


def rows(spark: SparkSession) -> DataFrame:
    """Return rows of duplicate, tied, late and unreadable items in two partitions, in no order."""
    e = BTCUSDT["E"]

    def coin(price: str, event: int, received_at: int = RECEIVED_AT) -> dict[str, object]:
        return item(BTCUSDT, received_at, s="币安人生USDT", c=price, E=event, v=WIDEST, q=None)

    streams = reduced(
        spark,
        record([coin("7", e + MINUTE // 1000, RECEIVED_AT + MINUTE)], offset=8),
        record([coin("3", e), coin(SMALLEST, e), coin("bad", e), "bad"], offset=7),
        record([coin("3", e), coin(WIDEST, e + 1)], partition=1, offset=2),
        record(b"[", offset=9),
        record(
            [item(CRO_USDT, size=None, bestAskSize=WIDEST)] * 2, KUCOIN.raw_topic, endpoint=None
        ),
    )
    return reduced_rows(spark, streams)


def test_the_newest_ticker_of_each_symbol_with_all_its_columns(spark: SparkSession) -> None:
    expected = table(
        spark,
        [
            (
                *("binance", "币安人生USDT", Decimal(7), None, None, None, None, None),
                *map(Decimal, ("87304.35", "87728.27", "85300.01", WIDEST)),
                *(None, None, datetime(2025, 3, 28, 7, 38, 28, 467000, tzinfo=UTC)),
                *(1743147508467, RECEIPT.replace(minute=38), HOST, "binance_raw_data", 0, 8, 0),
            ),
            (
                *("kucoin", "CRO-USDT"),
                *map(Decimal, ("0.10604", "0.10596", "2160", "0.10605", WIDEST)),
                *(None, None, None, None, None, None),
                *(datetime(2025, 3, 28, 7, 33, 18, 992000, tzinfo=UTC), RECEIPT, 915875484),
                *(RECEIPT, None, "kucoin_raw_data", 0, 0, 1),
            ),
        ],
        PRICES,
    )
    actual = fresh_live_prices(rows(spark)).orderBy("symbol", ascending=False)
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_the_candle_of_each_symbol_and_minute_over_all_partitions(spark: SparkSession) -> None:
    e = BTCUSDT["E"]
    coin, price = ("binance", "币安人生USDT"), Decimal("0.10604")
    expected = table(
        spark,
        [
            (*coin, FIRST_MINUTE, *map(Decimal, (SMALLEST, WIDEST, SMALLEST, WIDEST)), e, e + 1, 4),
            (*coin, SECOND_MINUTE, *[Decimal(7)] * 4, e + 60_000, e + 60_000, 1),
            ("kucoin", "CRO-USDT", FIRST_MINUTE, *[price] * 4, 915875484, 915875484, 2),
        ],
        CANDLES,
    )
    actual = fresh_candles(rows(spark)).orderBy("exchange", "minute")
    assert_df_equality(actual, expected, ignore_nullable=True)
