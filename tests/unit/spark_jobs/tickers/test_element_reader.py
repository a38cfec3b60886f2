"""Test element_reader: the values of each ticker, the reason of each dead letter and unread field."""

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import IS_DEAD_LETTER, READ, polars_schema
from spark_jobs.tickers.element_reader import CAUSES, ROWS_AT_ONCE, read_elements
from spark_jobs.tickers.reading import cause_of
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIPT, RECEIVED_AT, item
from tests.support.messages import HOST, at_the_depth_limit, frame, message, short

NOTHING = dict.fromkeys(READ)


def rows(value: Any, topic: str = BINANCE.raw_topic, **place: Any) -> list[dict[str, Any]]:
    return read_elements(frame(message(value, topic, **place))).to_dicts()


def reasons(items: list[Any], topic: str = BINANCE.raw_topic) -> list[str | None]:
    found = rows(items, topic)
    assert {cause_of(row["reason"]) for row in found if row["kind"] == IS_DEAD_LETTER} <= {*CAUSES}
    return [row["reason"] for row in found]


def without(whole: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in whole.items() if key not in keys}


def test_a_binance_mini_ticker_has_24_hour_figures_and_neither_bid_nor_ask() -> None:
    assert rows([item(BTCUSDT)], partition=3, offset=17) == [
        {
            **NOTHING,
            "exchange": "binance",
            "symbol": "BTCUSDT",
            "price": Decimal("85439.99"),
            "open_24h": Decimal("87304.35"),
            "high_24h": Decimal("87728.27"),
            "low_24h": Decimal("85300.01"),
            "base_volume_24h": Decimal("20230.79019"),
            "quote_volume_24h": Decimal("1754434346.2569475"),
            "event_time": datetime(2025, 3, 28, 7, 37, 28, 467000, tzinfo=UTC),
            "sequence": 1743147448467,
            "received_at": RECEIPT,
            "endpoint": HOST,
            "topic": "binance_raw_data",
            "partition": 3,
            "offset": 17,
            "position": 0,
            "kind": "ticker",
        }
    ]


def test_a_kucoin_ticker_has_bid_and_ask_and_its_event_is_its_receipt() -> None:
    assert rows([item(CRO_USDT)], KUCOIN.raw_topic, endpoint=None) == [
        {
            **NOTHING,
            "exchange": "kucoin",
            "symbol": "CRO-USDT",
            "price": Decimal("0.10604"),
            "bid": Decimal("0.10596"),
            "bid_size": Decimal("2160"),
            "ask": Decimal("0.10605"),
            "ask_size": Decimal("2522.2"),
            "last_size": Decimal("159.3256"),
            "traded_at": datetime(2025, 3, 28, 7, 33, 18, 992000, tzinfo=UTC),
            "event_time": RECEIPT,
            "sequence": 915875484,
            "received_at": RECEIPT,
            "endpoint": None,
            "topic": "kucoin_raw_data",
            "partition": 0,
            "offset": 0,
            "position": 0,
            "kind": "ticker",
        }
    ]


def test_a_dead_letter_has_its_place_its_receipt_and_its_own_text() -> None:
    text = '{"s" : "币",\n"c":1.10, "E":1E3,"received_at":1743147448501233}'
    assert rows(f" [7, {text} ]".encode(), partition=3, offset=17)[1] == {
        **NOTHING,
        "exchange": "binance",
        "received_at": RECEIPT,
        "endpoint": HOST,
        "topic": "binance_raw_data",
        "partition": 3,
        "offset": 17,
        "position": 1,
        "kind": "dead_letter",
        "reason": "event_time can't be read: 1E3",
        "payload": text.encode(),
    }


@pytest.mark.parametrize(
    "bad", ["bad", 7, None, [], True, [1, {"s": "Y"}], {}, {"received_at": "soon"}]
)
def test_neighbours_of_a_bad_element_arrive(bad: Any) -> None:
    found = rows([item(BTCUSDT), bad, item(ETHUSDT)])
    assert [(row["position"], row["symbol"], row["kind"]) for row in found] == [
        (0, "BTCUSDT", "ticker"),
        (1, None, "dead_letter"),
        (2, "ETHUSDT", "ticker"),
    ]
    assert json.loads(found[1]["payload"]) == bad
    assert found[1]["received_at"] is None


@pytest.mark.parametrize("data", ["gone", 7, None, [], [{"price": "1"}], True])
def test_neighbours_of_a_kucoin_item_whose_data_is_no_object_arrive(data: Any) -> None:
    bad = {**item(CRO_USDT), "data": data}
    found = rows([item(CRO_USDT), bad, item(CRO_USDT)], KUCOIN.raw_topic)
    assert [row["price"] for row in found] == [Decimal("0.10604"), None, Decimal("0.10604")]
    assert (found[1]["reason"], found[1]["received_at"]) == ("sequence is missing", RECEIPT)


@at_the_depth_limit
@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"not json", b"{}", b'{"s":"BTCUSDT"}', b"null", b"7", b"\xff\xfe\x00"),
        *(b'[{"s":', b"[}]", b"\xef\xbb\xbf[]", b'["\xff"]', b"[" * 100_000 + b"]" * 100_000),
    ],
    ids=short,
)
def test_a_message_that_is_no_array_is_one_dead_letter_with_its_bytes(value: bytes | None) -> None:
    (found,) = rows(value)
    assert (found["position"], found["reason"]) == (-1, "the message is no JSON array")
    assert found["payload"] == (value or b"")


def test_an_empty_array_has_no_row_and_blanks_do_no_harm() -> None:
    assert rows(b" [ ] ") == []
    text = json.dumps(item(BTCUSDT), indent="\t")
    assert [row["price"] for row in rows(f"\r\n[ {text} ]\n".encode())] == [Decimal("85439.99")]


def test_what_follows_the_array_is_a_dead_letter_and_the_array_is_read() -> None:
    text = json.dumps([item(BTCUSDT), 7]) + ' [{"s":"B"}] \0'
    found = rows(text.encode())
    assert [(row["position"], row["reason"]) for row in found] == [
        (0, None),
        (1, "the item is no JSON object"),
        (2, "this follows the message's array"),
    ]
    assert found[2]["payload"] == b'[{"s":"B"}] \0'


def test_what_is_missing_or_bad_in_a_binance_item_is_named_with_its_value() -> None:
    whole = item(BTCUSDT)
    missing = [without(whole, key) for key in ("s", "E", "received_at")]
    bad_symbols = [item(BTCUSDT, s=symbol) for symbol in ("", "A\0B", "x" * 101, 7)]
    times: list[Any] = [9223372036854775807, -1, 0, "soon", "", 1.5, {}]
    bad_times = [item(BTCUSDT, E=at) for at in times]
    bad_receipts = [{**whole, "received_at": at} for at in (RECEIVED_AT * 1000, "now")]
    prices: list[Any] = ["abc", " ", "1\0", "1" * 21, True, []]
    bad_prices = [item(BTCUSDT, c=price) for price in prices]
    assert reasons([*missing, *bad_symbols, *bad_times, *bad_receipts, *bad_prices]) == [
        "symbol is missing",
        "event_time is missing",
        "received_at is missing",
        "symbol can't be read: ",
        "symbol can't be read: A\ufffdB",
        "symbol can't be read: " + "x" * 100,
        "symbol can't be read: 7",
        "event_time can't be read: 9223372036854775807",
        "event_time can't be read: -1",
        "event_time can't be read: 0",
        "event_time can't be read: soon",
        "event_time can't be read: ",
        "event_time can't be read: 1.5",
        "event_time can't be read: an object",
        f"received_at can't be read: {RECEIVED_AT * 1000}",
        "received_at can't be read: now",
        "price can't be read: abc",
        "price can't be read:  ",
        "price can't be read: 1\ufffd",
        "price can't be read: " + "1" * 21,
        "price can't be read: true",
        "price can't be read: an array",
    ]


def test_a_price_that_decimal_38_18_can_not_hold_is_a_dead_letter() -> None:
    assert reasons([item(BTCUSDT, c=c) for c in ("0.0000000000000000001", "1E20", "NaN")]) == [
        "price can't be read: 0.0000000000000000001",
        "price can't be read: 1E20",
        "price can't be read: NaN",
    ]


def test_a_kucoin_item_may_lack_what_is_optional_and_not_its_sequence() -> None:
    bare = item({**CRO_USDT, "data": {"price": "1", "sequence": "2", "bestBid": None}})
    found = rows([bare, item(CRO_USDT, sequence=None)], KUCOIN.raw_topic)
    assert [(row["kind"], row["reason"]) for row in found] == [
        ("ticker", None),
        ("dead_letter", "sequence is missing"),
    ]
    assert (found[0]["price"], found[0]["bid"], found[0]["traded_at"]) == (Decimal(1), None, None)


@pytest.mark.parametrize(
    ("changed", "field", "reason", "written"),
    [
        ({"bestBid": ""}, "bid", "is empty", b""),
        ({"bestBid": "many"}, "bid", "is no number", b"many"),
        ({"bestBidSize": True}, "bid_size", "is no number", b"true"),
        ({"bestAsk": {}}, "ask", "is no number", b"an object"),
        (
            {"bestAskSize": "1.2708784448066809961"},
            *("ask_size", "has more than 18 decimals", b"1.2708784448066809961"),
        ),
        (
            {"size": "7" * 120},
            *("last_size", "has more than 20 digits before the point", b"7" * 100),
        ),
        ({"size": "1\0"}, "last_size", "is no number", b"1\xef\xbf\xbd"),
        ({"time": 0}, "traded_at", "is out of range", b"0"),
        ({"time": "soon"}, "traded_at", "is no number", b"soon"),
        ({"time": 1.5}, "traded_at", "is no whole number", b"1.5"),
    ],
    ids=short,
)
def test_an_optional_field_that_cannot_be_read_is_null_and_counted_beside_the_ticker(
    changed: dict[str, Any], field: str, reason: str, written: bytes
) -> None:
    ticker, unread = rows([item(CRO_USDT, **changed)], KUCOIN.raw_topic, offset=5)
    whole = rows([item(CRO_USDT)], KUCOIN.raw_topic, offset=5)[0]
    assert ticker == {**whole, field: None}
    assert unread == {
        **NOTHING,
        "exchange": "kucoin",
        "symbol": "CRO-USDT",
        "received_at": RECEIPT,
        "endpoint": HOST,
        "topic": "kucoin_raw_data",
        "partition": 0,
        "offset": 5,
        "position": 0,
        "kind": "unread",
        "field": field,
        "reason": reason,
        "payload": written,
    }


def test_each_unread_field_is_a_row_of_its_own() -> None:
    found = rows([item(CRO_USDT, bestBid="", bestAsk="", time=0)], KUCOIN.raw_topic)
    assert [(row["kind"], row["field"]) for row in found] == [
        ("ticker", None),
        ("unread", "bid"),
        ("unread", "ask"),
        ("unread", "traded_at"),
    ]


@pytest.mark.parametrize(
    ("price", "reason", "written"),
    [
        ("", "is absent", b""),
        (None, "is absent", b"null"),
        ("0", "is zero or less", b"0"),
        ("0.00000000", "is zero or less", b"0.00000000"),
        ("-0", "is zero or less", b"-0"),
        ("0E5", "is zero or less", b"0E5"),
        (0, "is zero or less", b"0"),
        ("-1", "is zero or less", b"-1"),
        (-0.5, "is zero or less", b"-0.5"),
    ],
)
def test_a_price_of_nothing_or_less_is_counted_and_neither_ticker_nor_dead_letter(
    price: Any, reason: str, written: bytes
) -> None:
    (found,) = rows([item(BTCUSDT, c=price)])
    assert (found["kind"], found["field"], found["symbol"]) == ("unread", "price", "BTCUSDT")
    assert (found["price"], found["reason"], found["payload"]) == (None, reason, written)


def test_a_price_that_is_not_there_at_all_is_absent() -> None:
    (found,) = rows([without(item(BTCUSDT), "c")])
    assert (found["kind"], found["reason"], found["payload"]) == ("unread", "is absent", b"null")


def test_a_receipt_that_is_far_ahead_of_kafkas_clock_is_a_dead_letter() -> None:
    stamp = datetime(2025, 3, 28, 7, 22, 28, 501233, tzinfo=UTC)
    found = rows([item(BTCUSDT), item(BTCUSDT, RECEIVED_AT + 1)], timestamp=stamp)
    assert [row["reason"] for row in found] == [
        None,
        f"received_at is ahead of Kafka's clock: {RECEIVED_AT + 1}",
    ]


def test_a_record_may_have_any_time_also_one_that_python_has_no_date_for() -> None:
    stamped = [message([item(BTCUSDT)], timestamp=at, offset=at) for at in (-(2**62), 2**62)]
    found = read_elements(frame(*stamped)).to_dicts()
    assert [row["reason"] for row in found] == [
        f"received_at is ahead of Kafka's clock: {RECEIVED_AT}",
        None,
    ]


def test_a_frame_that_the_extractor_could_not_read_is_a_dead_letter() -> None:
    unreadable = {"unreadable": "<html>", "received_at": RECEIVED_AT}
    assert reasons([unreadable, {**item(BTCUSDT), "unreadable": ""}]) == [
        "the extractor could not read this frame",
        "the extractor could not read this frame",
    ]
    assert reasons([{**item(BTCUSDT), "unreadable": None}]) == [None]


def test_an_answer_of_kucoin_that_is_no_ticker_is_a_dead_letter() -> None:
    answer = {"id": "1", "type": "error", "code": 404, "data": "topic does not exist"}
    assert reasons([item(answer)], KUCOIN.raw_topic) == ["symbol is missing"]


def test_of_a_repeated_key_the_last_counts() -> None:
    text = json.dumps(item(BTCUSDT))[:-1]
    again = '"c":"7","o":"","\\u0073":"ETHUSDT","received_at":1743147448501234'
    ticker, unread = rows(f"[{text},{again}}}]".encode())
    assert (ticker["symbol"], ticker["price"], ticker["open_24h"]) == ("ETHUSDT", Decimal(7), None)
    assert ticker["received_at"].microsecond == 501234
    assert unread["field"] == "open_24h"


def test_rows_beyond_what_is_made_at_once_keep_their_order() -> None:
    many = [*[7] * (ROWS_AT_ONCE - 1), item(BTCUSDT), item(ETHUSDT)]
    found = read_elements(frame(message(many), message(many, offset=1)))
    assert found.schema == polars_schema(READ)
    assert found["position"].to_list() == [*range(len(many))] * 2
    assert (
        found.filter(pl.col("kind") == "ticker")["symbol"].to_list() == ["BTCUSDT", "ETHUSDT"] * 2
    )


def test_no_messages_are_no_rows() -> None:
    assert read_elements(frame()).schema == polars_schema(READ)


def test_a_message_of_which_all_items_are_dead_is_read_once() -> None:
    items = [f'{{"n":{number}}}' for number in range(20_000)]
    began = time.process_time()
    found = read_elements(frame(message(f"[{','.join(items)}]".encode())))
    # Reading it for each item would take minutes.
    assert time.process_time() - began < 10
    assert found["payload"].to_list() == [text.encode() for text in items]
