"""The newest ticker and the candle of a minute: the same in any order of arrival."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import READ, REDUCED, polars_schema
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reducer import reduce_to_minutes
from spark_jobs.tickers.ticker_order import polars_age_order
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIPT, RECEIVED_AT, item
from tests.support.messages import HOST, encoded, frame, message

MINUTE = 60_000_000
SMALLEST, WIDEST = "0.000000000000000001", "99999999999999999999.999999999999999999"

# Minute of the frames in tests/support/frames.py, and event_time (in ms) of BTCUSDT.
FIRST_MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
START = BTCUSDT["E"]
NOTHING = dict.fromkeys(REDUCED)


def reduced(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    rows = reduce_to_minutes(read_messages(frame(*messages)))
    assert rows.schema == polars_schema(REDUCED)
    return rows.sort("exchange", "symbol", "minute", "offset", "position", "kind").to_dicts()


def only(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def kucoin(symbol: str, price: str, sequence: int, received_at: int) -> dict[str, Any]:
    changed = item(CRO_USDT, received_at, price=price, sequence=str(sequence))
    return {**changed, "subject": symbol}


def candles(items: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    columns = (
        "minute",
        "open",
        "high",
        "low",
        "close",
        "open_sequence",
        "close_sequence",
        "updates",
    )
    return [only(row, *columns) for row in reduced(message(items))]


def test_a_symbols_minute_is_one_row_with_its_newest_ticker_and_its_candle() -> None:
    symbol = "币安人生USDT"
    older = [
        item(BTCUSDT, s=symbol, E=START - 1, c=WIDEST),
        item(BTCUSDT, s=symbol, c=SMALLEST, v=WIDEST),
        item(BTCUSDT, s=symbol, c="bad", v=WIDEST),
    ]
    newer = item(BTCUSDT, s=symbol, E=START + 1, c="2", q=None)

    span, dead, minute = reduced(message(older, offset=7), message([newer], offset=9))

    place = {
        "exchange": "binance",
        "received_at": RECEIPT,
        "endpoint": HOST,
        "topic": "binance_raw_data",
        "partition": 0,
    }
    assert dead == {
        **NOTHING,
        **place,
        "offset": 7,
        "position": 2,
        "kind": "dead_letter",
        "reason": "price can't be read: bad",
        "payload": encoded(older[2]),
        "updates": 0,
        "first_offset": 7,
        "last_offset": 7,
    }
    assert span == {
        **NOTHING,
        "exchange": "binance",
        "topic": "binance_raw_data",
        "partition": 0,
        "offset": 7,
        "kind": "dead_span",
        "reason": "price can't be read",
        "payload": b"\x04",
        "updates": 1,
        "first_offset": 7,
        "last_offset": 7,
    }
    assert minute == {
        **NOTHING,
        **place,
        "symbol": symbol,
        "price": Decimal(2),
        "open_24h": Decimal("87304.35"),
        "high_24h": Decimal("87728.27"),
        "low_24h": Decimal("85300.01"),
        "base_volume_24h": Decimal("20230.79019"),
        "event_time": datetime(2025, 3, 28, 7, 37, 28, 468000, tzinfo=UTC),
        "sequence": START + 1,
        "offset": 9,
        "position": 0,
        "kind": "ticker",
        "minute": FIRST_MINUTE,
        "open": Decimal(WIDEST),
        "high": Decimal(WIDEST),
        "low": Decimal(SMALLEST),
        "close": Decimal(2),
        "open_sequence": START - 1,
        "close_sequence": START + 1,
        "updates": 3,
        "first_offset": 7,
        "last_offset": 9,
    }


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        # (sequence, microseconds into the minute)
        ((7, 0), (8, 0)),
        ((7, 5), (8, 0)),
        ((7, 0), (7, 1)),
        ((9, MINUTE - 1), (1, MINUTE)),
    ],
    ids=[
        "the higher sequence",
        "the higher sequence, received earlier in the minute",
        "the later receipt of the same sequence",
        "the later minute of receipt, whatever its sequence",
    ],
)
def test_the_newer_ticker_wins_in_any_order_of_arrival(
    older: tuple[int, int], newer: tuple[int, int], turned: bool
) -> None:
    start = RECEIVED_AT - RECEIVED_AT % MINUTE
    # One minute of events for both, so that they are one row.
    items = [
        item(BTCUSDT, start + at, c=price, E=START + sequence)
        for price, (sequence, at) in (("1", older), ("2", newer))
    ]
    (row,) = reduced(message(items[::-1] if turned else items))
    assert only(row, "price", "updates") == (Decimal(2), 2)


def test_in_one_minute_of_events_the_later_minute_of_receipt_wins_and_the_sequence_closes() -> None:
    items = [
        item(BTCUSDT, RECEIVED_AT + MINUTE, c="2"),
        item(BTCUSDT, c="1", E=START + 9),
    ]
    (row,) = reduced(message(items))
    assert only(row, "price", "close") == (Decimal(2), Decimal(1))


def test_of_tickers_that_are_equally_new_the_later_place_in_kafka_wins() -> None:
    messages = [
        message([item(BTCUSDT, c=str(n)), item(BTCUSDT, c=f"{n}.5")], offset=n) for n in (3, 2)
    ]
    (row,) = reduced(*messages)
    assert only(row, "offset", "position", "price") == (3, 1, Decimal("3.5"))


def test_the_order_of_age_is_minute_sequence_receipt_partition_offset_and_position() -> None:
    ages = [
        # (minute, sequence, microseconds, partition, offset, position), from the oldest
        *((0, 1, 9, 9, 9, 9), (0, 2, 0, 9, 9, 9), (0, 2, 1, 0, 9, 9), (0, 2, 1, 1, 0, 9)),
        *((0, 2, 1, 1, 1, 0), (0, 2, 1, 1, 1, 1), (1, -1, 5, 0, 0, 0), (1, 0, 0, 0, 0, 0)),
    ]
    rows = [
        {
            "number": number,
            "received_at": datetime.fromtimestamp(60 * minute, UTC).replace(microsecond=at),
            **{
                "sequence": sequence,
                "partition": partition,
                "offset": offset,
                "position": position,
            },
        }
        for number, (minute, sequence, at, partition, offset, position) in enumerate(ages)
    ]
    shuffled = random.Random(7).sample(rows, len(rows))
    in_order = pl.DataFrame(shuffled).sort(polars_age_order())["number"].to_list()
    assert in_order == [*range(len(ages))]


def test_a_row_has_the_count_and_the_first_and_last_offset_of_its_tickers() -> None:
    found = reduced(
        message([item(BTCUSDT), item(ETHUSDT)], offset=4), message([item(BTCUSDT)], offset=6)
    )
    assert [only(row, "symbol", "first_offset", "last_offset", "updates") for row in found] == [
        ("BTCUSDT", 4, 6, 2),
        ("ETHUSDT", 4, 4, 1),
    ]


def test_a_symbol_that_is_in_two_partitions_is_a_row_of_each() -> None:
    found = reduced(
        message([item(BTCUSDT, c="1")], partition=0, offset=500),
        message([item(BTCUSDT, c="2")], partition=1, offset=3),
    )
    assert [only(row, "partition", "first_offset", "price") for row in found] == [
        (1, 3, Decimal(2)),
        (0, 500, Decimal(1)),
    ]


def test_the_same_symbol_of_two_exchanges_is_two_rows() -> None:
    found = reduced(
        message([item(BTCUSDT)]),
        message([kucoin("BTCUSDT", "3", 1, RECEIVED_AT)], KUCOIN.raw_topic),
    )
    assert [only(row, "exchange", "price") for row in found] == [
        ("binance", Decimal("85439.99")),
        ("kucoin", Decimal(3)),
    ]


def test_the_lowest_sequence_opens_and_the_highest_closes() -> None:
    prices = {3: "5", 1: "4", 2: "9.000000000000000001", 0: "3", -1: "8"}
    (found,) = candles([item(BTCUSDT, E=START + n, c=c) for n, c in prices.items()])
    amounts = (Decimal(8), Decimal("9.000000000000000001"), Decimal(3), Decimal(5))
    assert found == (FIRST_MINUTE, *amounts, START - 1, START + 3, 5)


def test_of_equal_sequences_the_lower_price_opens_and_the_higher_closes() -> None:
    (found,) = candles([item(BTCUSDT, c=price) for price in ("5", "10", "9")])
    assert found[1:5] == (Decimal(5), Decimal(10), Decimal(5), Decimal(10))


def test_a_candle_holds_the_minute_of_the_event_and_not_of_the_receipt() -> None:
    last, first = 1743147479999, 1743147480000  # 07:37:59.999 and 07:38
    found = candles([item(BTCUSDT, E=last, c="1"), item(BTCUSDT, E=first, c="2")])
    assert [(minute.minute, open_, updates) for minute, open_, *_, updates in found] == [
        (37, Decimal(1), 1),
        (38, Decimal(2), 1),
    ]


def test_an_event_far_ahead_of_its_receipt_has_a_price_and_no_candle() -> None:
    received_at = RECEIVED_AT // 1000 * 1000
    limit = (received_at + 5 * MINUTE) // 1000
    items = [
        item(BTCUSDT, received_at, E=limit),
        item(ETHUSDT, received_at, E=limit + 1, c="7"),
        item(ETHUSDT, received_at),
    ]
    rows = reduced(message(items))
    beyond_limit = datetime(2025, 3, 28, 7, 42, 28, 502000, tzinfo=UTC)
    assert [only(row, "symbol", "minute", "updates") for row in rows] == [
        ("BTCUSDT", datetime(2025, 3, 28, 7, 42, tzinfo=UTC), 1),
        ("ETHUSDT", None, 1),
        ("ETHUSDT", FIRST_MINUTE, 1),
    ]
    assert only(rows[1], "price", "event_time") == (Decimal(7), beyond_limit)


def test_a_price_of_zero_between_two_others_is_in_no_candle() -> None:
    items = [item(BTCUSDT, E=START + n, c=c) for n, c in enumerate(("7.5", "0.00000000", "7.75"))]
    unread, minute = reduced(message(items))
    assert only(unread, "kind", "field", "reason", "updates", "minute") == (
        *("unread", "price", "is zero or less", 1, None),
    )
    assert only(minute, "price", "low", "high", "updates") == (
        *(Decimal("7.75"), Decimal("7.5"), Decimal("7.75"), 2),
    )


def test_unread_fields_are_one_row_per_cause_with_the_first_as_an_example() -> None:
    def books(*asks: str) -> list[dict[str, Any]]:
        return [{**item(CRO_USDT, bestAsk=ask), "subject": f"S{ask}"} for ask in asks]

    found = [
        row
        for row in reduced(
            message(books("x", "1", ""), KUCOIN.raw_topic, offset=6),
            message(books("2", "", "y"), KUCOIN.raw_topic, offset=5),
            message(books("z"), KUCOIN.raw_topic, partition=1, offset=1),
        )
        if row["kind"] == "unread"
    ]
    columns = ("field", "reason", "partition", "offset", "position", "symbol", "payload")
    counts = ("updates", "first_offset", "last_offset")
    assert sorted(only(row, *columns, *counts) for row in found) == [
        ("ask", "is empty", 0, 5, 1, "S", b"", 2, 5, 6),
        ("ask", "is no number", 0, 5, 2, "Sy", b"y", 2, 5, 6),
        ("ask", "is no number", 1, 1, 0, "Sz", b"z", 1, 1, 1),
    ]
    assert all(row["minute"] is None and row["price"] is None for row in found)


def test_dead_letters_are_counted_beside_the_newest_tickers_and_some_are_kept() -> None:
    items = [item(BTCUSDT), item(BTCUSDT, c="x"), item(BTCUSDT, c="x")]
    found = reduced(message(items), message(b"?", offset=1))
    columns = ("kind", "offset", "position", "reason", "updates", "first_offset", "last_offset")
    assert [only(row, *columns) for row in found if row["kind"] != "dead_span"] == [
        ("dead_letter", 0, 1, "price can't be read: x", 0, 0, 0),
        ("dead_letter", 0, 2, "price can't be read: x", 0, 0, 0),
        ("dead_letter", 1, -1, "the message is no JSON array", 0, 1, 1),
        ("ticker", 0, 0, None, 1, 0, 0),
    ]
    assert [only(row, *columns) for row in found if row["kind"] == "dead_span"] == [
        ("dead_span", 0, None, "price can't be read", 2, 0, 0),
        ("dead_span", 1, None, "the message is no JSON array", 1, 1, 1),
    ]


def test_nothing_is_reduced_to_nothing() -> None:
    rows = reduce_to_minutes(pl.DataFrame(schema=polars_schema(READ)))
    assert (len(rows), rows.schema) == (0, polars_schema(REDUCED))
