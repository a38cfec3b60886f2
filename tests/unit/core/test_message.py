"""Items and messages: nothing is lost or changed, and no message is too large for Kafka."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.message import (
    MAX_MESSAGE_BYTES,
    Item,
    encode_item,
    encode_message,
    message_key,
    partition_of,
    split_messages,
    ticker_item,
    unreadable_item,
)


def test_ticker_keeps_its_fields_unknown_ones_too_and_gains_received_at() -> None:
    ticker = {"s": "BTCUSDT", "c": "85439.99000000", "new": {"field": [1, None]}}
    assert ticker_item(ticker, 1743147448501233) == {
        "s": "BTCUSDT",
        "c": "85439.99000000",
        "new": {"field": [1, None]},
        "received_at": 1743147448501233,
    }


def test_ticker_that_is_given_stays_as_it_was() -> None:
    ticker = {"s": "BTCUSDT"}
    ticker_item(ticker, 1)
    assert ticker == {"s": "BTCUSDT"}


def test_unreadable_frame_is_kept_as_its_text() -> None:
    assert unreadable_item('[{"s":', 7) == {"unreadable": '[{"s":', "received_at": 7}


def messages_of(items: Sequence[Item]) -> list[bytes]:
    """As the producer makes them."""
    return [encode_message(part) for part in split_messages([encode_item(each) for each in items])]


def test_items_of_a_few_symbols_are_one_array_without_blanks() -> None:
    items = [ticker_item({"s": "BTCUSDT", "c": "1.10"}, 1), ticker_item({"s": "ETHUSDT"}, 2)]
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


def item_of(size: int) -> Item:
    """An item whose JSON has that many bytes."""
    return {"text": "x" * (size - len('{"text":""}'))}


def test_message_may_reach_the_limit_to_the_byte() -> None:
    items = [item_of(400_000), item_of(MAX_MESSAGE_BYTES - 400_000 - len("[,]"))]
    (message,) = messages_of(items)
    assert len(message) == MAX_MESSAGE_BYTES
    assert json.loads(message) == items


def test_byte_beyond_the_limit_begins_another_message() -> None:
    rest = MAX_MESSAGE_BYTES - 400_000 - len("[,]") + 1
    items = [item_of(size) for size in (400_000, rest, 400_000, rest)]
    assert [json.loads(message) for message in messages_of(items)] == [[each] for each in items]


def test_item_that_is_too_large_travels_alone() -> None:
    small, large = item_of(20), item_of(MAX_MESSAGE_BYTES + 1)
    messages = messages_of([large, small, small, large])
    assert [json.loads(message) for message in messages] == [[large], [small, small], [large]]


def test_parts_are_the_encoded_items_themselves() -> None:
    items = [b"x" * size for size in (600_000, 399_000, 1_000)]
    assert split_messages(items) == [items[:2], items[2:]]


# As a JSON parser gives it: two surrogates that belong together are one character.
PARSED_TEXT = st.text(st.characters()).map(lambda text: str(json.loads(json.dumps(text))))
VALUES: st.SearchStrategy[Any] = st.one_of(
    PARSED_TEXT, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)
)
TICKERS = st.dictionaries(PARSED_TEXT, VALUES, max_size=4)
SIZES = st.sampled_from([333_000, 499_998, MAX_MESSAGE_BYTES - 2, MAX_MESSAGE_BYTES + 1])


@settings(max_examples=30, deadline=None)
@given(st.lists(TICKERS | SIZES, max_size=6))
def test_what_goes_in_comes_out_in_order_in_messages_that_kafka_takes(drawn: list[Any]) -> None:
    items = [item_of(each) if isinstance(each, int) else each for each in drawn]
    messages = messages_of(items)
    arrays = [json.loads(message) for message in messages]
    assert [item for array in arrays for item in array] == items
    for message, array in zip(messages, arrays, strict=True):
        assert len(message) <= MAX_MESSAGE_BYTES or len(array) == 1


# The literals are those of any other CRC-32, such as gzip's.
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
