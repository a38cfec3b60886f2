"""column_reader: which messages it reads, which it leaves, and that the rows have the exact values."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.column_reader import read_columns
from spark_jobs.tickers.columns import READ, polars_schema
from spark_jobs.tickers.element_reader import read_elements
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIPT, RECEIVED_AT, item
from tests.support.messages import (
    HOST,
    at_the_depth_limit,
    by_columns,
    encoded,
    frame,
    in_order,
    message,
    short,
)

NOTHING = dict.fromkeys(READ)

BTC = encoded(item(BTCUSDT))
CRO = encoded(item(CRO_USDT))


def with_key(written: bytes) -> bytes:
    """Return a message of BTC, with `"x":…` before the item's keys."""
    return b'[{"x":' + written + b"," + BTC[1:] + b"]"


def replaced(old: bytes, new: bytes, within: bytes = BTC) -> bytes:
    assert within.count(old) == 1
    return b"[" + within.replace(old, new) + b"]"


def test_a_binance_message_is_a_row_per_item_with_every_column() -> None:
    read = by_columns(frame(message([item(BTCUSDT), item(ETHUSDT)], partition=3, offset=17)))
    assert read.schema == polars_schema(READ)
    btc, eth = in_order(read)
    assert btc == {
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
    assert (eth["symbol"], eth["price"], eth["position"]) == ("ETHUSDT", Decimal("1916.44"), 1)


def test_a_kucoin_message_is_a_row_per_item_with_every_column() -> None:
    (read,) = in_order(by_columns(frame(message([item(CRO_USDT)], KUCOIN.raw_topic, offset=9))))
    assert read == {
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
        "endpoint": HOST,
        "topic": "kucoin_raw_data",
        "partition": 0,
        "offset": 9,
        "position": 0,
        "kind": "ticker",
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0.00000001", "0.00000001"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("1.500000000000000000000000", "1.5"),
        ("1." + "0" * 5_000, "1"),
        ("000000000000000000000000007", "7"),
        ("1.46E-6", "0.00000146"),
        ("1e3", "1000"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
    ],
    ids=short,
)
def test_amounts_are_exact_in_each_of_their_forms(written: str, value: str) -> None:
    (read,) = in_order(by_columns(frame(message([item(BTCUSDT, c=written)]))))
    assert read["price"] == Decimal(value)


@pytest.mark.parametrize(
    ("field", "key", "written", "reason", "shown"),
    [
        ("bid", "bestBid", "", "is empty", b""),
        ("bid_size", "bestBidSize", "many", "is no number", b"many"),
        ("ask", "bestAsk", "1" * 21, "has more than 20 digits before the point", b"1" * 21),
        ("ask_size", "bestAskSize", "1E-19", "has more than 18 decimals", b"1E-19"),
        ("last_size", "size", "币" * 200 + "\0", "is no number", ("币" * 100).encode()),
        ("last_size", "size", "1\0", "is no number", b"1\xef\xbf\xbd"),
    ],
    ids=short,
)
def test_an_amount_that_cannot_be_read_is_null_and_a_row_of_its_own(
    field: str, key: str, written: str, reason: str, shown: bytes
) -> None:
    changed: dict[str, Any] = {key: written}
    items = [item(CRO_USDT), item(CRO_USDT, **changed)]
    read = in_order(by_columns(frame(message(items, KUCOIN.raw_topic))))
    assert read[1] == {**read[0], field: None, "position": 1}
    assert read[2] == {
        **NOTHING,
        "exchange": "kucoin",
        "symbol": "CRO-USDT",
        "received_at": RECEIPT,
        "endpoint": HOST,
        "topic": "kucoin_raw_data",
        "partition": 0,
        "offset": 0,
        "position": 1,
        "kind": "unread",
        "field": field,
        "reason": reason,
        "payload": shown,
    }


@pytest.mark.parametrize(
    ("price", "reason", "shown"),
    [
        ("", "is absent", b""),
        (None, "is absent", b"null"),
        ("0.00000000", "is zero or less", b"0.00000000"),
        ("-1E-3", "is zero or less", b"-1E-3"),
    ],
)
def test_a_price_of_nothing_or_less_is_no_ticker_and_no_dead_letter(
    price: Any, reason: str, shown: bytes
) -> None:
    (read,) = in_order(by_columns(frame(message([item(CRO_USDT, price=price)], KUCOIN.raw_topic))))
    assert (read["kind"], read["field"], read["price"]) == ("unread", "price", None)
    assert (read["reason"], read["payload"]) == (reason, shown)


@pytest.mark.parametrize(
    "value",
    [
        with_key(b'{"a":{"b":{}},"c":[1]}'),
        with_key(b'"a\\nb"'),
        with_key(b"1E3"),
        with_key(b'"\\ud83d\\ude00"'),
        with_key(b'"\x7f"'),
        replaced(b'"BTCUSDT"', '"币安人生USDT"'.encode()),
        replaced(b'"BTCUSDT"', b'"\\u5e01\\/\\ud83d\\ude00"'),
        replaced(b'"c"', b'"\\u0063"'),
        replaced(b'"o":"87304.35000000",', b""),
        replaced(b'"87304.35000000"', b"null"),
        b"[" + BTC.replace(b":", b" :\t").replace(b",", b"\r,") + b"]",
    ],
    ids=short,
)
def test_what_is_understood_is_read_as_the_reference_reads_it(value: bytes) -> None:
    messages = frame(message(value))
    rows, left = read_columns(messages)
    assert len(left) == 0
    assert in_order(rows) == in_order(read_elements(messages))
    assert in_order(rows)[0]["kind"] == "ticker"


def test_an_empty_message_beside_one_that_is_not_utf_8_is_left_to_the_reference() -> None:
    rows, left = read_columns(frame(message(b""), message(b"\xff"), message(None)))
    assert (len(rows), len(left)) == (0, 3)


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"[]", b"[ ]", b"{}", b"7", b"not json", b"[{}]", b"[7]", b"[null]", b"\xff"),
        *(b"[" + BTC, b"[" + BTC + b"}", BTC + b"]", b" [" + BTC + b"]", b"[" + BTC + b"]\n"),
        *(
            b"[" + BTC + b", " + BTC + b"]",
            b"[" + BTC + BTC + b"]",
            b"[" + BTC + b"\n" + BTC + b"]",
        ),
        *(
            b"[" + BTC + b"null" + BTC + b"]",
            b"[" + BTC + b",7," + BTC + b"]",
            b"[" + BTC + b",{}]",
        ),
        *(b"[" + BTC + b"\0}]", b"[" + BTC + b"\xef\xbb\xbf}]", b"\xef\xbb\xbf[" + BTC + b"]"),
        *(with_key(b"[{},{}]"), with_key(b'[{"s":"A"},{"s":"B"}]')),
        *(with_key(b'"},{"'), with_key(b'"a\nb"'), with_key(b'"\\ud800"'), with_key(b'"\\udc00"')),
        *(with_key(b'"\xff"'), with_key(b'"\xed\xa0\x80"'), with_key(b'"\\q"'), with_key(b"'x'")),
        *(with_key(b"Inf"), with_key(b"-Inf"), with_key(b"nan"), with_key(b"01"), with_key(b"1.")),
        *(
            with_key(b"/**/1"),
            with_key(b'1,"c":"7"'),
            with_key(b'1,"c":null'),
            with_key(b'{"a":1,}'),
        ),
        with_key(b'1,"\\u0063":"7"'),
        replaced(b"1743147448467", b"1743147448467.0"),
        replaced(b"1743147448467", b'"1743147448467"'),
        replaced(b"1743147448467", b"9223372036854775808"),
        replaced(b"1743147448467", b"0"),
        replaced(b"1743147448467", b"null"),
        replaced(b'"85439.99000000"', b"85439.99000000"),
        replaced(b'"85439.99000000"', b'"abc"'),
        replaced(b'"20230.79019000"', b"20230.79019000"),
        replaced(b'"20230.79019000"', b"{}"),
        replaced(b'"BTCUSDT"', b'"A\\u0000B"'),
        replaced(b'"BTCUSDT"', b'""'),
        replaced(b'"BTCUSDT"', b'"' + b"x" * 101 + b'"'),
        with_key(b'1,"unreadable":"<html>"'),
    ],
    ids=short,
)
def test_what_is_odd_is_left_with_all_of_its_message(value: bytes | None) -> None:
    rows, left = read_columns(frame(message(value)))
    assert (len(rows), left["value"].to_list()) == (0, [value])


@pytest.mark.parametrize(
    "value",
    [
        replaced(b'"data"', b'"data":null,"data"', CRO),
        replaced(b'"data"', b'"data":{},"data"', CRO),
        replaced(b'"price"', b'"price":"1","price"', CRO),
        replaced(b'"915875484"', b"915875484", CRO),
        replaced(b'"915875484"', b'"9158754840000000000"', CRO),
        replaced(b"1743147198992", b"0", CRO),
        replaced(b"1743147198992", b'"1743147198992"', CRO),
        b"[" + encoded({**item(CRO_USDT), "data": []}) + b"]",
        b"[" + encoded({**item(CRO_USDT), "data": None}) + b"]",
    ],
    ids=short,
)
def test_what_is_odd_in_a_kucoin_item_is_left(value: bytes) -> None:
    rows, left = read_columns(frame(message(value, KUCOIN.raw_topic)))
    assert (len(rows), left["value"].to_list()) == (0, [value])


def test_several_odd_amounts_of_one_message_are_read() -> None:
    value = BTC
    for key, written in {"o": "1E3", "h": "+2", "l": "1e-2", "v": "x", "q": "0E-30"}.items():
        value = re.sub(rb'"%s":"[^"]*"' % key.encode(), f'"{key}":"{written}"'.encode(), value)
    messages = frame(message(b"[" + value + b"]"))
    ticker, *unread = in_order(by_columns(messages))
    assert [ticker[name] for name in ("open_24h", "high_24h", "low_24h", "quote_volume_24h")] == [
        Decimal(1000),
        Decimal(2),
        Decimal("0.01"),
        Decimal(0),
    ]
    assert [row["field"] for row in unread] == ["base_volume_24h"]
    assert in_order(read_elements(messages)) == [ticker, *unread]


def test_one_odd_message_leaves_the_others_to_the_columns() -> None:
    good, odd = [item(BTCUSDT)], [item(BTCUSDT), {"s": "X"}]
    values = [good, b"?", odd, good, None, b"[" + BTC + b"\0}]", good]
    rows, left = read_columns(frame(*(message(value, offset=n) for n, value in enumerate(values))))
    assert rows["offset"].to_list() == [0, 3, 6]
    assert left["offset"].to_list() == [1, 2, 4, 5]


def test_a_message_with_a_row_too_many_does_not_hide_an_invalid_one() -> None:
    more, invalid = b"[" + BTC + BTC + b"]", b"[" + BTC + b"\0," + BTC + b"]"
    values = [more, invalid, b"[" + BTC + b"},{]", more]
    rows, left = read_columns(frame(*(message(value, offset=n) for n, value in enumerate(values))))
    assert (len(rows), left["offset"].to_list()) == (0, [0, 1, 2, 3])


def test_a_receipt_that_is_far_ahead_of_kafkas_clock_is_left() -> None:
    stamp = datetime(2025, 3, 28, 7, 22, 28, 501233, tzinfo=UTC)
    items = [item(BTCUSDT), item(BTCUSDT, RECEIVED_AT + 1)]
    messages = frame(*(message([each], timestamp=stamp, offset=n) for n, each in enumerate(items)))
    rows, left = read_columns(messages)
    assert (rows["offset"].to_list(), left["offset"].to_list()) == ([0], [1])


@at_the_depth_limit
@pytest.mark.parametrize("depth", [10_000, 300_000])
def test_only_the_columns_read_a_ticker_with_a_value_nested_too_deeply_for_python(
    depth: int,
) -> None:
    messages = frame(message(with_key(b"[" * depth + b"]" * depth)))
    assert [row["kind"] for row in in_order(by_columns(messages))] == ["ticker"]
    assert read_elements(messages)["reason"].to_list() == ["the message is no JSON array"]


@pytest.mark.parametrize("topic", [BINANCE.raw_topic, KUCOIN.raw_topic])
def test_where_nothing_can_be_parsed_all_is_left(topic: str) -> None:
    rows, left = read_columns(frame(message(b"?", topic), message(b"[{]", topic, offset=1)))
    assert rows.schema == polars_schema(READ)
    assert (len(rows), len(left)) == (0, 2)
