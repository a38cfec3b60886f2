"""Test items and messages: nothing is lost or changed, and only a single item may be too large."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.message import (
    MAX_MESSAGE_BYTES,
    encode_item,
    encode_message,
    message_key,
    partition_of,
    received_at_of,
    split_messages,
    ticker_item,
    unreadable_item,
)
from tests.support.json_texts import PARSED_TEXT, VALUES, json_texts


@pytest.mark.parametrize(
    "fields",
    [
        '"s":"BTCUSDT","c":"85439.99000000","new":{"field":[1,null]}',
        '"a":1E5,"b":0.10,"c":1e-7,"d":-0,"e":0.1234567890123456789,"f":123456789012345678901234567890',
        '"c":"1","c":"2","c":"1"',
        '"s":"币安人生USDT"',
        r'"s":"\u5e01\u5B89\/\ud800","t":"\"}\n"',
        '"a": 1 , "b" :\t[ 1 , 2 ] ',
    ],
    ids=["plain", "numbers", "repeated keys", "non-ASCII", "escapes", "blanks"],
)
def test_item_is_the_ticker_to_the_letter_with_received_at_before_its_last_brace(
    fields: str,
) -> None:
    item = ticker_item(f"{{{fields}}}".encode(), 1743147448501233)
    assert item.decode() == f'{{{fields},"received_at":1743147448501233}}'


@pytest.mark.parametrize(
    "own", ['"received_at":"2026"', '"received_at":7,"c":"1"', '"x":{"received_at":7}']
)
def test_received_at_of_the_exchange_stays_and_ours_is_the_last(own: str) -> None:
    item = ticker_item(f"{{{own}}}".encode(), 5)
    assert item.decode() == f'{{{own},"received_at":5}}'
    assert json.loads(item)["received_at"] == received_at_of(item) == 5


@pytest.mark.parametrize(
    ("ticker", "item"),
    [
        (b"{}", b'{"received_at":5}'),
        (b"{ }", b'{ "received_at":5}'),
        (b"{\t\r\n}", b'{\t  "received_at":5}'),
    ],
)
def test_object_without_fields_gets_no_comma(ticker: bytes, item: bytes) -> None:
    assert ticker_item(ticker, 5) == item
    assert json.loads(item) == {"received_at": 5}


def test_line_breaks_between_tokens_become_blanks() -> None:
    ticker = b'\r\n{\n"s":\r\n"BTCUSDT",\n"c":"\\n1"\r}\n'
    assert ticker_item(ticker, 5) == b'{ "s":  "BTCUSDT", "c":"\\n1" ,"received_at":5}'


OBJECTS = st.dictionaries(PARSED_TEXT | st.just("received_at"), VALUES, max_size=4)


@given(json_texts(OBJECTS), st.integers(0, 2**53))
def test_item_of_any_object_is_one_line_that_begins_with_its_text(
    written: tuple[bytes, dict[str, Any]], received_at: int
) -> None:
    text, ticker = written
    item = ticker_item(text, received_at)
    assert item.startswith(text.replace(b"\n", b" ").replace(b"\r", b" ")[:-1])
    assert b"\n" not in item
    assert json.loads(item) == {**ticker, "received_at": received_at}
    assert received_at_of(item) == received_at


@given(OBJECTS, st.integers(0, 2**53))
@example({"received_at": 7, "E": 1743147448467}, 1743147448501233)
@example({"received_at": 7, "x": {"received_at": 8}}, 9)
def test_received_at_is_found_in_items_of_version_0_1_0(
    ticker: dict[str, Any], received_at: int
) -> None:
    """Version 0.1.0 wrote it where the exchange had a field of that name."""
    assert received_at_of(encode_item({**ticker, "received_at": received_at})) == received_at


@pytest.mark.parametrize(
    "text", [b"", b"5", b"[1]", b"{}", b'{"E":5}', b'{"received_at":null}', b'{"a":"b:5}']
)
def test_text_that_is_no_item_has_no_received_at(text: bytes) -> None:
    with pytest.raises(ValueError):
        received_at_of(text)


def test_unreadable_frame_is_kept_as_its_text() -> None:
    assert (
        unreadable_item('[{"s":"币', 7)
        == '{"unreadable":"[{\\"s\\":\\"币","received_at":7}'.encode()
    )


@given(PARSED_TEXT)
def test_unreadable_text_comes_back(text: str) -> None:
    item = unreadable_item(text, 7)
    assert json.loads(item) == {"unreadable": text, "received_at": 7}
    assert b"\n" not in item
    assert received_at_of(item) == 7


def messages_of(items: Sequence[bytes]) -> list[bytes]:
    """Return the messages as the producer makes them."""
    return [encode_message(part) for part in split_messages(items)]


def test_items_of_a_few_symbols_are_one_array_without_blanks() -> None:
    items = [ticker_item(b'{"s":"BTCUSDT","c":"1.10"}', 1), ticker_item(b'{"s":"ETHUSDT"}', 2)]
    assert messages_of(items) == [
        b'[{"s":"BTCUSDT","c":"1.10","received_at":1},{"s":"ETHUSDT","received_at":2}]'
    ]


def test_no_items_are_no_message() -> None:
    assert split_messages([]) == []


def test_symbol_stays_as_it_is_written() -> None:
    assert encode_item({"s": "币安人生USDT"}) == '{"s":"币安人生USDT"}'.encode()


def test_lone_surrogate_is_escaped_and_comes_back() -> None:
    item = {"s": "币\ud800"}
    assert encode_item(item) == rb'{"s":"\u5e01\ud800"}'
    assert json.loads(encode_item(item)) == item


def item_of(size: int) -> bytes:
    """Return an item of `size` bytes."""
    return b'{"text":"%s"}' % (b"x" * (size - len('{"text":""}')))


def test_message_may_reach_the_limit_to_the_byte() -> None:
    items = [item_of(400_000), item_of(MAX_MESSAGE_BYTES - 400_000 - len("[,]"))]
    (message,) = messages_of(items)
    assert len(message) == MAX_MESSAGE_BYTES
    assert message == b"[%s,%s]" % tuple(items)


def test_byte_beyond_the_limit_begins_another_message() -> None:
    rest = MAX_MESSAGE_BYTES - 400_000 - len("[,]") + 1
    items = [item_of(size) for size in (400_000, rest, 400_000, rest)]
    assert messages_of(items) == [b"[%s]" % each for each in items]


def test_item_that_is_too_large_travels_alone() -> None:
    small, large = item_of(20), item_of(MAX_MESSAGE_BYTES + 1)
    assert split_messages([large, small, small, large]) == [[large], [small, small], [large]]


def test_parts_are_the_items_themselves() -> None:
    items = [b"x" * size for size in (600_000, 399_000, 1_000)]
    assert split_messages(items) == [items[:2], items[2:]]


def test_limit_of_the_messages_may_be_lower() -> None:
    items = [item_of(size) for size in (30, 30, 31, 100, 30)]
    assert split_messages(items, limit=63) == [items[:2], items[2:3], items[3:4], items[4:]]
    assert [len(message) for message in map(encode_message, split_messages(items[:2], 63))] == [63]


SIZES = st.sampled_from([333_000, 499_998, MAX_MESSAGE_BYTES - 2, MAX_MESSAGE_BYTES + 1])


@settings(max_examples=30)
@given(st.lists(OBJECTS.map(encode_item) | SIZES.map(item_of), max_size=6))
def test_what_goes_in_comes_out_in_order_and_only_a_single_item_may_be_too_large(
    items: list[bytes],
) -> None:
    messages = messages_of(items)
    arrays = [json.loads(message) for message in messages]
    assert [item for array in arrays for item in array] == [json.loads(item) for item in items]
    for message, array in zip(messages, arrays, strict=True):
        assert len(message) <= MAX_MESSAGE_BYTES or len(array) == 1


# Any other CRC-32, such as gzip's, returns the same numbers.
@pytest.mark.parametrize(
    ("symbol", "crc32"),
    [
        ("BTCUSDT", 2895029187),
        ("BTC-USDT", 61289663),
        ("币安人生USDT", 1405052144),
        ("", 0),
    ],
)
def test_symbol_has_the_partition_that_its_crc32_says(symbol: str, crc32: int) -> None:
    assert [partition_of(symbol, n) for n in (1, 4, 7)] == [0, crc32 % 4, crc32 % 7]


def test_symbol_with_a_lone_surrogate_has_a_partition() -> None:
    assert partition_of("\ud800", 4) == 0


def test_key_names_exchange_and_partition() -> None:
    assert message_key("binance", 3) == b"binance-3"
