"""The newest ticker and the candle of a minute: the same in any order of arrival."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import DataFrame, Row, SparkSession

from core.topics import KUCOIN_RAW_DATA
from spark_jobs.minutes import per_minute
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    ETHUSDT,
    RECEIVED_AT,
    item,
    record,
    table,
    tickers,
)

MINUTE = 60_000_000

AMOUNT = "DECIMAL(38,18)"
ROW = (
    f"exchange STRING, symbol STRING, price {AMOUNT}, bid {AMOUNT}, bid_size {AMOUNT}, ask {AMOUNT},"
    f" ask_size {AMOUNT}, last_size {AMOUNT}, open_24h {AMOUNT}, high_24h {AMOUNT}, low_24h {AMOUNT},"
    f" base_volume_24h {AMOUNT}, quote_volume_24h {AMOUNT}, traded_at TIMESTAMP, event_time TIMESTAMP,"
    " sequence LONG, received_at TIMESTAMP, endpoint STRING, topic STRING, partition INT, offset LONG,"
    f" position INT, reason STRING, minute TIMESTAMP, open {AMOUNT}, high {AMOUNT}, low {AMOUNT},"
    f" close {AMOUNT}, open_sequence LONG, close_sequence LONG, updates LONG, first_offset LONG,"
    " last_offset LONG"
)
SMALLEST, WIDEST = "0.000000000000000001", "99999999999999999999.999999999999999999"

# Of the frames in tests/support/frames.py, event_time and received_at alike.
FIRST_MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
RECEIPT = datetime(2025, 3, 28, 7, 37, 28, 501233, tzinfo=UTC)


def reduced(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    return per_minute(tickers(spark, *rows))


def ticker(symbol: str, price: str, sequence: int, received_at: int) -> dict[str, Any]:
    changed = item(CRO_USDT, received_at, price=price, sequence=str(sequence))
    return {**changed, "subject": symbol}


def candles(spark: SparkSession, items: Sequence[dict[str, Any]]) -> list[Row]:
    """Rows of minute, prices, sequences, updates."""
    columns = (
        *("minute", "open", "high", "low", "close"),
        *("open_sequence", "close_sequence", "updates"),
    )
    return reduced(spark, [record(items)]).orderBy("minute").select(*columns).collect()


def test_a_symbols_minute_is_one_row_with_its_newest_ticker_and_its_candle(
    spark: SparkSession,
) -> None:
    symbol, e = "币安人生USDT", BTCUSDT["E"]
    lowest = item(BTCUSDT, s=symbol, E=e - 1, c=WIDEST)
    coins = [lowest, *(item(BTCUSDT, s=symbol, c=c, v=WIDEST) for c in (SMALLEST, "bad"))]
    newer = item(BTCUSDT, s=symbol, E=e + 1, c="2", q=None)

    actual = reduced(spark, [record(coins, offset=7), record([newer], offset=9)])

    event = datetime(2025, 3, 28, 7, 37, 28, 467000, tzinfo=UTC)
    place = (RECEIPT, "stream.binance.com", "binance_raw_data", 0)
    day = map(Decimal, ("87304.35", "87728.27", "85300.01", "20230.79019"))
    widest_day = ("87304.35", "87728.27", "85300.01", WIDEST, "1754434346.2569475")
    candle = map(Decimal, (WIDEST, WIDEST, SMALLEST, "2"))
    expected = table(
        spark,
        [
            (
                *("binance", symbol, Decimal(2), *[None] * 5, *day, None, None),
                *(event.replace(microsecond=468000), e + 1, *place, 9, 0, None),
                *(FIRST_MINUTE, *candle, e - 1, e + 1, 3, 7, 9),
            ),
            (
                *("binance", symbol, None, *[None] * 5, *map(Decimal, widest_day), None),
                *(event, e, *place, 7, 2, "price can't be read: bad"),
                *(FIRST_MINUTE, *[None] * 4, e, e, 1, 7, 7),
            ),
        ],
        ROW,
    )
    assert_df_equality(actual.orderBy("reason"), expected, ignore_nullable=True)


def test_the_newer_ticker_wins_in_any_order_of_arrival(spark: SparkSession) -> None:
    # (sequence, microseconds into the minute) of the older and the newer.
    pairs = {
        "the higher sequence": ((7, 0), (8, 0)),
        "the higher sequence, received earlier in the minute": ((7, 5), (8, 0)),
        "the later receipt of the same sequence": ((7, 0), (7, 1)),
    }
    start = RECEIVED_AT - RECEIVED_AT % MINUTE
    items = []
    for name, ((old_sequence, old_time), (sequence, time)) in pairs.items():
        older = ticker(name, "1", old_sequence, start + old_time)
        newer = ticker(name, "2", sequence, start + time)
        items += [
            older,
            newer,
            {**newer, "subject": name + ", turned"},
            {**older, "subject": name + ", turned"},
        ]
    rows = reduced(spark, [record(items, KUCOIN_RAW_DATA)]).collect()
    assert {row["symbol"]: int(row["price"]) for row in rows} == {
        name + turned: 2 for name in pairs for turned in ("", ", turned")
    }


def test_in_one_minute_of_events_the_later_minute_of_receipt_wins(spark: SparkSession) -> None:
    items = [
        item(BTCUSDT, RECEIVED_AT + MINUTE, c="2"),
        item(BTCUSDT, c="1", E=BTCUSDT["E"] + 9),
    ]
    (row,) = reduced(spark, [record(items)]).collect()
    assert (int(row["price"]), int(row["close"])) == (2, 1)


def test_of_tickers_that_are_equally_new_the_later_place_in_kafka_wins(spark: SparkSession) -> None:
    rows = [record([item(BTCUSDT, c=str(n)), item(BTCUSDT, c=f"{n}.5")], offset=n) for n in (3, 2)]
    (row,) = reduced(spark, rows).collect()
    assert (row["offset"], row["position"], float(row["price"])) == (3, 1, 3.5)


def test_a_row_says_which_tickers_it_stands_for(spark: SparkSession) -> None:
    rows = [record([item(BTCUSDT), item(ETHUSDT)], offset=4), record([item(BTCUSDT)], offset=6)]
    columns = ("symbol", "first_offset", "last_offset", "updates")
    found = reduced(spark, rows).select(*columns).collect()
    assert sorted(found) == [("BTCUSDT", 4, 6, 2), ("ETHUSDT", 4, 4, 1)]


def test_the_lowest_sequence_opens_and_the_highest_closes(spark: SparkSession) -> None:
    prices = {3: "5", 1: "4", 2: "9.000000000000000001", 0: "3", -1: "8"}
    start = BTCUSDT["E"]
    (found,) = candles(spark, [item(BTCUSDT, E=start + n, c=c) for n, c in prices.items()])
    amounts = (Decimal(8), Decimal("9.000000000000000001"), Decimal(3), Decimal(5))
    assert found == (FIRST_MINUTE.replace(tzinfo=None), *amounts, start - 1, start + 3, 5)


def test_of_equal_sequences_the_lower_price_opens_and_the_higher_closes(
    spark: SparkSession,
) -> None:
    (found,) = candles(spark, [item(BTCUSDT, c=price) for price in ("5", "10", "9")])
    assert (found["open"], found["close"]) == (Decimal(5), Decimal(10))


def test_a_candle_holds_the_minute_of_the_event_and_not_of_the_receipt(spark: SparkSession) -> None:
    last, first = 1743147479999, 1743147480000  # 07:37:59.999 and 07:38
    found = candles(spark, [item(BTCUSDT, E=last, c="1"), item(BTCUSDT, E=first, c="2")])
    assert [(row["minute"].minute, int(row["open"]), row["updates"]) for row in found] == [
        (37, 1, 1),
        (38, 2, 1),
    ]


def test_an_event_far_ahead_of_its_receipt_has_a_price_and_no_candle(spark: SparkSession) -> None:
    limit = (RECEIVED_AT + 5 * MINUTE) // 1000
    found = reduced(
        spark, [record([item(BTCUSDT, E=limit), item(ETHUSDT, E=limit + 1), item(ETHUSDT)])]
    )
    rows = found.orderBy("symbol", "minute").select("symbol", "minute", "event_time").collect()
    assert [(row["symbol"], row["minute"] and row["minute"].minute) for row in rows] == [
        ("BTCUSDT", 42),
        ("ETHUSDT", None),
        ("ETHUSDT", 37),
    ]
    assert rows[1]["event_time"].minute == 42


def test_every_dead_letter_stays_beside_the_newest_tickers(spark: SparkSession) -> None:
    rows = [
        record([item(BTCUSDT), item(BTCUSDT, c="x"), item(BTCUSDT, c="x")]),
        record(b"?", offset=1),
    ]
    found = reduced(spark, rows).select("offset", "position", "reason").collect()
    assert sorted(found, key=lambda row: (row["offset"], row["position"])) == [
        (0, 0, None),
        (0, 1, "price can't be read: x"),
        (0, 2, "price can't be read: x"),
        (1, -1, "the message is no JSON array"),
    ]
