"""Dead letters of a batch: a few examples, and spans that count all of them."""

import json
import random
from typing import Any

import polars as pl
import pyarrow.compute as pc
import pytest

from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import IS_DEAD_LETTER, REDUCED, as_table
from spark_jobs.tickers.letters.reducer import EXAMPLES, spans_of
from spark_jobs.tickers.letters.spans import EVERY_ITEM, THE_MESSAGE, Span, joined, to_bits
from spark_jobs.tickers.messages import read_and_reduce
from spark_jobs.tickers.reader import read_messages
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.messages import frame, message

Message = dict[str, Any]
TOPIC = "binance_raw_data"
MISSING, NO_OBJECT = "sequence is missing", "the item is no JSON object"

GOOD, NO_PRICE = item(BTCUSDT), item(BTCUSDT, c="")


def without_sequence(symbol: str = "A-B") -> dict[str, Any]:
    renamed = {**CRO_USDT["data"]}
    renamed["sequenceNew"] = renamed.pop("sequence")
    return item({**CRO_USDT, "subject": symbol, "data": renamed})


def spans(*messages: Message) -> list[Span]:
    read = read_messages(frame(*messages))
    is_dead = pl.col("kind") == IS_DEAD_LETTER
    return spans_of(read.filter(is_dead), read.filter(~is_dead))


def examples(*messages: Message) -> list[tuple[Any, ...]]:
    rows = read_and_reduce(frame(*messages)).filter(kind=IS_DEAD_LETTER)
    return rows.select("topic", "partition", "offset", "position", "updates").rows()


def test_messages_with_letters_of_a_cause_at_the_same_positions_are_one_span() -> None:
    found = spans(
        message([7, GOOD, item(BTCUSDT, c="x"), 8], offset=5),
        message([9, GOOD, GOOD, 9], offset=6),
        message([9, GOOD, GOOD, 9], offset=7, partition=1),
    )
    ends = to_bits([0, 3])
    assert found == [
        Span(TOPIC, 0, "price can't be read", 5, 5, 1, to_bits([2])),
        Span(TOPIC, 0, NO_OBJECT, 5, 6, 4, ends),
        Span(TOPIC, 1, NO_OBJECT, 7, 7, 2, ends),
    ]


def test_messages_of_any_length_in_which_every_item_is_dead_are_one_span() -> None:
    flood = [
        message([without_sequence()] * count, KUCOIN.raw_topic, offset=offset)
        for offset, count in enumerate([3, 1, 200])
    ]
    assert spans(*flood) == [Span(KUCOIN.raw_topic, 0, MISSING, 0, 2, 204, EVERY_ITEM)]


@pytest.mark.parametrize("other", [GOOD, NO_PRICE, item(BTCUSDT, c="x")])
def test_one_item_that_is_something_else_is_not_among_the_positions(other: Any) -> None:
    found = spans(message([7, 7, other]))
    assert Span(TOPIC, 0, NO_OBJECT, 0, 0, 2, to_bits([0, 1])) in found


def test_a_message_that_is_no_array_is_dead_as_a_whole() -> None:
    cause = "the message is no JSON array"
    found = spans(message(b"?"), message(b"", offset=1), message([7], offset=2))
    assert found == [
        Span(TOPIC, 0, NO_OBJECT, 2, 2, 1, EVERY_ITEM),
        Span(TOPIC, 0, cause, 0, 1, 2, THE_MESSAGE),
    ]


def test_what_follows_an_array_is_at_the_position_after_its_last_item() -> None:
    found = spans(message(json.dumps([GOOD, GOOD]).encode() + b"]"))
    assert found == [Span(TOPIC, 0, "this follows the message's array", 0, 0, 1, to_bits([2]))]


def test_a_reason_names_its_value_and_the_cause_does_not() -> None:
    found = spans(message([item(BTCUSDT, c="a:b"), item(BTCUSDT, c="c"), GOOD]))
    assert found == [Span(TOPIC, 0, "price can't be read", 0, 0, 2, to_bits([0, 1]))]


def test_examples_are_those_with_the_lowest_places_of_each_topic_and_cause() -> None:
    messages = [
        message([7] * 4 + [item(BTCUSDT, c="x")], partition=partition, offset=offset)
        for partition, offset in [(1, 1), (0, 9), (0, 8)]
    ]
    kucoin = message([7], KUCOIN.raw_topic, offset=3)
    expected = [
        *((TOPIC, 0, 8, position, 0) for position in range(5)),
        *((TOPIC, 0, 9, position, 0) for position in range(5)),
        *((TOPIC, 1, 1, position, 0) for position in (0, 1, 4)),
        (KUCOIN.raw_topic, 0, 3, 0, 0),
    ]
    assert sorted(examples(*messages, kucoin)) == expected
    assert len([place for place in expected if place[3] != 4 and place[0] == TOPIC]) == EXAMPLES
    assert sorted(examples(kucoin, *reversed(messages))) == expected


def test_a_flood_is_a_few_rows_and_a_few_bytes() -> None:
    flood = [
        message([without_sequence(f"S{n}") for n in range(200)], KUCOIN.raw_topic, offset=offset)
        for offset in range(20)
    ]
    table = as_table(read_and_reduce(frame(*flood)), REDUCED)
    assert table.num_rows == EXAMPLES + 1
    assert table.nbytes < 20_000
    assert pc.sum(table["updates"]).as_py() == 4000


def test_spans_are_the_same_however_messages_were_divided() -> None:
    chance = random.Random(3)
    messages = [
        message([chance.choice([7, GOOD]) for _ in range(chance.randrange(3))], offset=offset)
        for offset in range(990, 1030)
    ]
    expected = spans(*messages)
    for _ in range(5):
        cut = chance.randrange(1, len(messages))
        assert joined([*spans(*messages[cut:]), *spans(*messages[:cut])]) == expected


def test_without_dead_letters_there_is_nothing() -> None:
    rows = read_and_reduce(frame(message([GOOD, NO_PRICE])))
    assert set(rows["kind"]) == {"ticker", "unread"}
    assert spans(message([])) == []
