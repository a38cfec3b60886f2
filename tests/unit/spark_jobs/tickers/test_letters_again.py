"""Dead letters that are read again: each counts once, and other items do not count again."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.letters.reducer import spans_of
from spark_jobs.tickers.letters.reread import Now, Stored, read_again, reread_letters
from spark_jobs.tickers.letters.spans import EVERY_ITEM, THE_MESSAGE, Span, to_bits
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reading import cause_of
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIVED_AT, item
from tests.support.messages import HOST, frame, message

WRITTEN_AT = datetime.fromtimestamp(RECEIVED_AT // 1_000_000, UTC)
FOUND = ["topic", "partition", "offset", "position", "endpoint", "symbol", "reason"]
NO_OBJECT, NO_ARRAY = "the item is no JSON object", "the message is no JSON array"
BTC, ETH = item(BTCUSDT), item(ETHUSDT)


def was(
    first: int, letters: int, positions: bytes | None, last: int | None = None, cause: str = "old"
) -> Span:
    return Span(BINANCE.raw_topic, 0, cause, first, last or first, letters, positions)


def now(spans: list[Span], *messages: dict[str, Any]) -> Now:
    return reread_letters(spans, read_messages(frame(*messages)))


def updates(found: Now) -> dict[str, int]:
    """Return the updates by symbol; all tickers are of one minute."""
    tickers = found.rows.filter(kind="ticker").group_by("symbol").agg(pl.col("updates").sum())
    return dict(tickers.rows())


def test_of_a_message_only_what_was_dead_is_read_again() -> None:
    spans = [was(5, 2, to_bits([0, 2]))]
    found = now(spans, message([BTC, ETH, 7, ETH], offset=5))
    assert updates(found) == {"BTCUSDT": 1}
    assert found.spans == [was(5, 1, to_bits([2]), cause=NO_OBJECT)]
    assert found.dead == {(5, 2): NO_OBJECT}
    assert (found.still_dead, found.new, found.unchanged) == (1, 0, set())


def test_two_causes_of_a_message_are_read_together() -> None:
    spans = [was(5, 1, to_bits([0])), was(5, 1, to_bits([3]), cause="another")]
    found = now(spans, message([BTC, ETH, 7, ETH], offset=5))
    assert updates(found) == {"BTCUSDT": 1, "ETHUSDT": 1}
    assert (found.spans, found.dead) == ([], {})


def test_a_message_of_dead_items_alone_is_read_again_as_a_whole() -> None:
    spans = [was(5, 6, EVERY_ITEM, last=6)]
    found = now(spans, message([BTC, BTC, 7], offset=5), message([7, 7, 7], offset=6))
    assert updates(found) == {"BTCUSDT": 2}
    assert found.spans == [
        was(5, 1, to_bits([2]), cause=NO_OBJECT),
        was(6, 3, EVERY_ITEM, cause=NO_OBJECT),
    ]
    assert found.still_dead == 4


def test_a_message_that_was_no_array_may_have_dead_letters_that_are_new() -> None:
    spans = [was(5, 2, THE_MESSAGE, last=6, cause=NO_ARRAY)]
    found = now(spans, message([BTC, 7, 8], offset=5), message(b"?", offset=6))
    assert updates(found) == {"BTCUSDT": 1}
    assert found.spans == [
        was(5, 2, to_bits([1, 2]), cause=NO_OBJECT),
        was(6, 1, THE_MESSAGE, cause=NO_ARRAY),
    ]
    assert (found.new, found.still_dead) == (2, 1)
    counted = found.rows.filter(kind="dead_span")
    assert counted.select("reason", "updates").rows() == [(NO_OBJECT, 2)]


def test_what_was_read_by_items_and_is_no_array_any_more_is_left_as_it_is() -> None:
    spans = [was(5, 4, to_bits([0, 2]), last=6)]
    found = now(spans, message(b"?", offset=5), message([BTC, ETH, BTC], offset=6))
    assert updates(found) == {"BTCUSDT": 2}
    assert found.spans == [was(5, 2, to_bits([0, 2]))]
    assert (found.unchanged, found.dead, found.still_dead) == ({5}, {}, 2)


def test_read_again_without_a_change_nothing_changes() -> None:
    spans = [
        was(5, 2, to_bits([1, 2]), cause=NO_OBJECT),
        was(6, 1, THE_MESSAGE, cause=NO_ARRAY),
        was(7, 2, EVERY_ITEM, cause=NO_OBJECT),
        # As written by a migration, which does not know the message's other items.
        was(9, 2, to_bits([0, 1]), cause=NO_OBJECT),
    ]
    found = now(
        spans,
        message([BTC, 7, 7], offset=5),
        message(b"?", offset=6),
        message([7, 7], offset=7),
        message([7, 7], offset=9),
    )
    assert len(found.rows) == 0
    assert sorted(found.spans) == sorted(spans)
    assert found.still_dead == 7


def test_parts_of_a_block_add_up() -> None:
    spans = [was(5, 4, EVERY_ITEM, last=6)]
    found = Now()
    for part in (message([7, BTC], offset=5), message([7, ETH], offset=6)):
        found.add(now(spans, part))
    assert updates(found) == {"BTCUSDT": 1, "ETHUSDT": 1}
    assert found.spans == [was(5, 2, to_bits([0]), last=6, cause=NO_OBJECT)]
    assert found.dead == {(5, 0): NO_OBJECT, (6, 0): NO_OBJECT}


def stored(topic: str, offset: int, position: int, payload: bytes, host: str | None) -> Stored:
    return Stored(topic, 2, offset, position, "old", payload, host, WRITTEN_AT)


def test_stored_letters_have_their_own_places_and_keep_their_reasons() -> None:
    coin = item(BTCUSDT, s="币安人生USDT")
    far_ahead = item(BTCUSDT, RECEIVED_AT + 3_600_000_000)
    letters = [
        stored(BINANCE.raw_topic, 7, 3, json.dumps(coin).encode(), HOST),
        stored(BINANCE.raw_topic, 7, 4, b'{"c":', None),
        stored(BINANCE.raw_topic, 8, -1, json.dumps([item(BTCUSDT), 7]).encode(), None),
        stored(BINANCE.raw_topic, 9, -1, b"\xff\x00", None),
        stored(BINANCE.raw_topic, 9, 0, json.dumps(far_ahead).encode(), None),
        stored(KUCOIN.raw_topic, 7, 3, json.dumps(item(CRO_USDT)).encode(), None),
    ]

    found = read_again(letters).select(FOUND).rows()

    binance = (BINANCE.raw_topic, 2)
    assert set(found) == {
        (*binance, 7, 3, HOST, "币安人生USDT", None),
        (*binance, 7, 4, None, None, "old"),
        (*binance, 8, 0, None, "BTCUSDT", None),
        (*binance, 8, 1, None, None, NO_OBJECT),
        (*binance, 9, -1, None, None, NO_ARRAY),
        (*binance, 9, 0, None, None, "old"),
        (KUCOIN.raw_topic, 2, 7, 3, None, "CRO-USDT", None),
    }
    assert len(found) == len(letters) + 1


def test_text_after_an_array_stays_a_dead_letter_even_if_it_looks_like_items() -> None:
    reason = "this follows the message's array"
    text = json.dumps([BTC, ETH])[1:-1].encode()
    letter = stored(BINANCE.raw_topic, 7, 1, text, HOST)._replace(reason=reason)
    found = read_again([letter])
    assert found.select("kind", "position", "reason", "payload").rows() == [
        ("dead_letter", 1, reason, text)
    ]


ITEM = st.sampled_from([BTC, ETH, 7, item(BTCUSDT, c="x"), item(ETHUSDT, c="")])
# Items, and whether an earlier version could not read them.
MESSAGES = st.lists(st.lists(st.tuples(ITEM, st.booleans()), max_size=4), min_size=1, max_size=6)


@given(MESSAGES)
def test_the_earlier_reading_and_the_second_one_add_up_to_a_reading_of_everything_now(
    messages: list[list[tuple[Any, bool]]],
) -> None:
    then = read_messages(
        frame(
            *(
                message([7 if is_hidden else each for each, is_hidden in items], offset=offset)
                for offset, items in enumerate(messages)
            )
        )
    )
    now_all = frame(
        *(
            message([each for each, _is_hidden in items], offset=offset)
            for offset, items in enumerate(messages)
        )
    )
    is_dead = pl.col("kind") == "dead_letter"
    spans = spans_of(then.filter(is_dead), then.filter(~is_dead))
    assume(spans)
    covered = [
        offset for offset in range(len(messages)) if any(offset in span.offsets for span in spans)
    ]
    found = reread_letters(spans, read_messages(now_all[covered]))

    read_now = read_messages(now_all)
    counted = Counter(then.filter(kind="ticker")["symbol"]) + Counter(updates(found))
    assert counted == Counter(read_now.filter(kind="ticker")["symbol"])
    dead_now = read_now.filter(is_dead).select("offset", "position", "reason").rows()
    assert found.dead == {(offset, position): reason for offset, position, reason in dead_now}
    by_cause: Counter[str] = Counter()
    for span in found.spans:
        by_cause[span.cause] += span.letters
    assert by_cause == Counter(cause_of(reason) for _offset, _position, reason in dead_now)
