"""Items to tickers: exact values, literal in and literal out; and a reason for what can't be one."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from core.topics import BINANCE_RAW_DATA, KUCOIN_RAW_DATA
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    RECEIVED_AT,
    item,
    record,
    recorded_kucoin_frames,
    table,
    tickers,
)

AMOUNT = "DECIMAL(38,18)"
TICKER_AND_REASON = (
    f"exchange STRING, symbol STRING, price {AMOUNT}, bid {AMOUNT}, bid_size {AMOUNT}, ask {AMOUNT},"
    f" ask_size {AMOUNT}, last_size {AMOUNT}, open_24h {AMOUNT}, high_24h {AMOUNT}, low_24h {AMOUNT},"
    f" base_volume_24h {AMOUNT}, quote_volume_24h {AMOUNT}, traded_at TIMESTAMP, event_time TIMESTAMP,"
    " sequence LONG, received_at TIMESTAMP, endpoint STRING, topic STRING, partition INT, offset LONG,"
    " position INT, reason STRING"
)
HOST = "stream.binance.com"


def normalised(spark: SparkSession, items: Any, topic: str = BINANCE_RAW_DATA) -> DataFrame:
    return tickers(spark, record(items, topic))


def reasons(found: DataFrame) -> list[str | None]:
    return [row["reason"] for row in found.orderBy("position").collect()]


def test_a_binance_mini_ticker_has_24_hour_figures_and_neither_bid_nor_ask(
    spark: SparkSession,
) -> None:
    actual = normalised(spark, [item(BTCUSDT)])

    expected = table(
        spark,
        [
            (
                "binance",
                "BTCUSDT",
                Decimal("85439.99"),
                None,
                None,
                None,
                None,
                None,
                Decimal("87304.35"),
                Decimal("87728.27"),
                Decimal("85300.01"),
                Decimal("20230.79019"),
                Decimal("1754434346.2569475"),
                None,
                datetime(2025, 3, 28, 7, 37, 28, 467000, tzinfo=UTC),
                1743147448467,
                datetime(2025, 3, 28, 7, 37, 28, 501233, tzinfo=UTC),
                HOST,
                "binance_raw_data",
                0,
                0,
                0,
                None,
            )
        ],
        TICKER_AND_REASON,
    )
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_a_kucoin_ticker_has_bid_and_ask_and_its_event_is_its_receipt(spark: SparkSession) -> None:
    actual = normalised(spark, [item(CRO_USDT)], KUCOIN_RAW_DATA)

    expected = table(
        spark,
        [
            (
                "kucoin",
                "CRO-USDT",
                Decimal("0.10604"),
                Decimal("0.10596"),
                Decimal("2160"),
                Decimal("0.10605"),
                Decimal("2522.2"),
                Decimal("159.3256"),
                None,
                None,
                None,
                None,
                None,
                datetime(2025, 3, 28, 7, 33, 18, 992000, tzinfo=UTC),
                datetime(2025, 3, 28, 7, 37, 28, 501233, tzinfo=UTC),
                915875484,
                datetime(2025, 3, 28, 7, 37, 28, 501233, tzinfo=UTC),
                HOST,
                "kucoin_raw_data",
                0,
                0,
                0,
                None,
            )
        ],
        TICKER_AND_REASON,
    )
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_recorded_kucoin_frames_keep_their_values(spark: SparkSession) -> None:
    frames = recorded_kucoin_frames()
    rows = normalised(spark, [item(frame) for frame in frames], KUCOIN_RAW_DATA).collect()
    read = [(row["symbol"], row["price"], row["sequence"], row["reason"]) for row in rows]
    assert read == [
        ("FTM-ETH", Decimal("0.0002894"), 186911324, None),
        ("MOG-USDT", Decimal("0.0000001141"), 1226485690, None),
        ("DOT-USDT", Decimal("10.4686"), 1619386350765, None),
    ]


def test_a_number_of_up_to_20_and_18_digits_is_kept_exactly(spark: SparkSession) -> None:
    written = [
        "0.00000001",
        "0.000000000000000001",
        "99999999999999999999.999999999999999999",
        "1.500000000000000000000000",
        "0",
        "-3.5",
    ]
    found = normalised(spark, [item(BTCUSDT, c=number) for number in written])
    prices = [row["price"] for row in found.orderBy("position").collect()]
    assert prices == [Decimal(number) for number in written]


def test_what_would_not_be_kept_exactly_is_a_dead_letter(spark: SparkSession) -> None:
    written = ["abc", "", " ", "1e3", "NaN", "Infinity", "0x10", "1,5", "1" * 21, "1\0"]
    written.append("0.0000000000000000001")
    found = normalised(spark, [item(BTCUSDT, c=number) for number in written])
    assert {row["price"] for row in found.collect()} == {None}
    assert reasons(found) == [
        f"price can't be read: {number}".replace("\0", "\ufffd") for number in written
    ]


def test_what_is_missing_or_bad_in_a_binance_item_is_named_with_its_value(
    spark: SparkSession,
) -> None:
    whole = item(BTCUSDT)
    without = [
        {k: v for k, v in whole.items() if k != name} for name in ("s", "c", "E", "received_at")
    ]
    bad_symbols = [item(BTCUSDT, s=symbol) for symbol in ("", "A\0B", "x" * 101)]
    bad_times = [item(BTCUSDT, E=time) for time in (9223372036854775807, -1, "soon")]
    found = normalised(
        spark, [*without, *bad_symbols, *bad_times, item(BTCUSDT, v="many"), item(BTCUSDT, v=None)]
    )
    assert reasons(found) == [
        "symbol is missing",
        "price is missing",
        "event_time is missing",
        "received_at is missing",
        "symbol can't be read: ",
        "symbol can't be read: A\ufffdB",
        "symbol can't be read: " + "x" * 100,
        "event_time can't be read: 9223372036854775807",
        "event_time can't be read: -1",
        "event_time can't be read: soon",
        "base_volume_24h can't be read: many",
        None,
    ]


def test_a_kucoin_item_may_lack_what_is_optional_and_not_its_sequence(spark: SparkSession) -> None:
    bare = {**CRO_USDT, "data": {"price": "1", "sequence": "2", "bestBid": None}}
    found = normalised(spark, [item(bare), item(CRO_USDT, sequence=None)], KUCOIN_RAW_DATA)
    rows = found.orderBy("position").select("bid", "ask", "traded_at", "reason").collect()
    assert rows[0] == (None, None, None, None)
    assert rows[1]["reason"] == "sequence is missing"


def test_a_receipt_that_is_far_ahead_of_kafkas_clock_is_a_dead_letter(spark: SparkSession) -> None:
    items = [item(BTCUSDT), item(BTCUSDT, RECEIVED_AT + 1)]
    stamp = datetime(2025, 3, 28, 7, 22, 28, 501233, tzinfo=UTC)
    assert reasons(tickers(spark, record(items, timestamp=stamp))) == [
        None,
        f"received_at is ahead of Kafka's clock: {RECEIVED_AT + 1}",
    ]


def test_symbols_need_not_be_ascii(spark: SparkSession) -> None:
    (row,) = normalised(spark, [item(BTCUSDT, s="币安人生USDT")]).collect()
    assert (row["symbol"], row["reason"]) == ("币安人生USDT", None)


def test_an_unreadable_frame_and_a_bad_message_say_what_they_are(spark: SparkSession) -> None:
    unreadable = {"unreadable": "<html>", "received_at": RECEIVED_AT}
    rows = [record([unreadable, 7]), record(b"<html>", offset=1)]
    found = tickers(spark, *rows).orderBy("offset", "position").collect()
    assert [row["reason"] for row in found] == [
        "the extractor could not read this frame",
        "the item is no JSON object",
        "the message is no JSON array",
    ]
