"""Test how landing objects are read and turned into frames, without a server."""

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.message import ticker_item, unreadable_item
from infra.replay.recording.frames import (
    RecordedFrame,
    RecordedItem,
    binance_frames,
    kucoin_frames,
    read_item,
    read_items,
)
from infra.replay.recording.source import take

NAME = "landing/kucoin/object.jsonl.gz"


def item(received_at: int, text: str) -> RecordedItem:
    return RecordedItem(received_at, text, False)


def unreadable(received_at: int, text: str) -> RecordedItem:
    return RecordedItem(received_at, text, True)


def lines(count: int) -> list[bytes]:
    return [b'{"n":%d,"received_at":%d}' % (n, 1000 + n) for n in range(count)]


def items_of_lines(count: int) -> list[RecordedItem]:
    return [item(1000 + n, f'{{"n":{n}}}') for n in range(count)]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        # More digits than a float has, and escapes.
        (
            '{"p":1.10,"q":1e5,"n":0.1234567890123456789,"s":"\\u5e01","received_at":7}',
            '{"p":1.10,"q":1e5,"n":0.1234567890123456789,"s":"\\u5e01"}',
        ),
        ('{"s":"币安人生USDT","received_at":7}', '{"s":"币安人生USDT"}'),
        ('{"a": {"received_at": 1}, "received_at": 7}', '{"a": {"received_at": 1}}'),
        ('{"a":"\\"received_at\\":1}","received_at":7}', '{"a":"\\"received_at\\":1}"}'),
        ('{"received_at":7}', "{}"),
        # The exchange's whitespace stays. Spaces after our comma are from older recordings.
        ('{ "received_at":7}', "{ }"),
        ('{"a":1 ,"received_at":7}', '{"a":1 }'),
        ('{"a":1, "received_at":7}', '{"a":1}'),
        # The exchange has a field with a name of ours, or the same field twice.
        ('{"unreadable":5,"received_at":7}', '{"unreadable":5}'),
        ('{"received_at":"x","s":"A","received_at":7}', '{"received_at":"x","s":"A"}'),
        ('{"received_at":5,"received_at":6,"received_at":7}', '{"received_at":5,"received_at":6}'),
        ('{"unreadable":"its own","e":1,"received_at":7}', '{"unreadable":"its own","e":1}'),
    ],
)
def test_received_at_is_cut_out_and_the_rest_stays_as_it_is(line: str, text: str) -> None:
    assert read_item(line.encode()) == item(7, text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = st.text() | st.sampled_from(["unreadable", "received_at", '"received_at":1}', "s"])


@given(
    st.dictionaries(FIELDS, JSON).filter(lambda ticker: list(ticker) != ["unreadable"]),
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    st.booleans(),
    st.integers(0, 2**53),
)
def test_every_object_that_the_extractor_writes_is_read_again_to_the_letter(
    ticker: dict[str, Any], separators: tuple[str, str], escaped: bool, received_at: int
) -> None:
    text = json.dumps(ticker, separators=separators, ensure_ascii=escaped)
    assert read_item(ticker_item(text.encode(), received_at)) == item(received_at, text)


@given(st.text())
def test_unreadable_text_is_read_again(text: str) -> None:
    assert read_item(unreadable_item(text, 7)) == unreadable(7, text)


def test_a_lone_surrogate_stays_an_escape_so_that_it_can_be_sent() -> None:
    read = read_item(unreadable_item('"\ud800"', 7))
    assert read == unreadable(7, '"\\ud800"')


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1]",
        b'{"e":1}',
        b'{"received_at":7,"e":1}',
        b'{"e":1,"received_at":"7"}',
        b'{"e":1,"received_at":7',
        b'{"e":"\xff","received_at":7}',
        b'{"e":' + b"[" * 100_000 + b"]" * 100_000 + b',"received_at":7}',
    ],
)
def test_what_is_no_item_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_item(line)


def test_binance_items_that_were_received_together_are_one_array() -> None:
    items = [
        item(1, '{"s":"A"}'),
        item(1, '{"s":"B"}'),
        item(2, '{"s":"A"}'),
        unreadable(3, "no JSON"),
        item(4, '{"s":"A"}'),
        unreadable(4, '"an element"'),
        item(4, '{"s":"B"}'),
        unreadable(5, "6"),
        item(5, '{"s":"A"}'),
    ]
    assert list(binance_frames(items)) == [
        RecordedFrame(1, '[{"s":"A"},{"s":"B"}]'),
        RecordedFrame(2, '[{"s":"A"}]'),
        RecordedFrame(3, "no JSON"),
        RecordedFrame(4, '[{"s":"A"},"an element",{"s":"B"}]'),
        RecordedFrame(5, '[6,{"s":"A"}]'),
    ]


def test_a_kucoin_item_is_a_frame_whenever_it_was_received() -> None:
    items = [item(1, '{"subject":"A"}'), item(1, '{"subject":"B"}'), unreadable(1, "no JSON")]
    assert list(kucoin_frames(items)) == [
        RecordedFrame(1, '{"subject":"A"}'),
        RecordedFrame(1, '{"subject":"B"}'),
        RecordedFrame(1, "no JSON"),
    ]


def test_an_object_is_read_line_by_line_with_or_without_a_last_newline() -> None:
    expected = items_of_lines(500)
    for content in (b"\n".join(lines(500)), b"\n".join(lines(500)) + b"\n"):
        assert list(read_items(NAME, gzip.compress(content))) == expected
    members = b"".join(gzip.compress(line + b"\n") for line in lines(500))
    assert list(read_items(NAME, members)) == expected


def test_of_a_truncated_object_what_is_there_is_read(caplog: pytest.LogCaptureFixture) -> None:
    content = gzip.compress(b"\n".join(lines(5000)))
    read = list(read_items(NAME, content[: len(content) // 2]))
    assert 1000 < len(read) < 4000
    assert read == items_of_lines(len(read))
    assert f"{NAME}: unreadable after line {len(read)}: " in caplog.text


def test_of_a_damaged_object_what_comes_before_the_damage_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = gzip.compress(b"\n".join(lines(400)) + b"\n") + b"\x1f\x8b and then no gzip"
    read = list(read_items(NAME, content))
    assert read == items_of_lines(400)
    assert f"{NAME}: unreadable after line 400: " in caplog.text


def test_damage_in_the_middle_costs_only_a_few_of_the_lines_before_it() -> None:
    content = bytearray(gzip.compress(b"\n".join(lines(5000))))
    undamaged = list(read_items(NAME, bytes(content[: len(content) // 2])))
    content[len(content) // 2 :] = b"\xff" * (len(content) // 2)
    read = list(read_items(NAME, bytes(content)))
    expected = items_of_lines(len(undamaged) - 50)
    assert read[: len(expected)] == expected


@pytest.mark.parametrize("content", [b"", b"no gzip"])
def test_an_object_with_nothing_to_read_is_named(
    content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(read_items(NAME, content)) == []
    assert f"{NAME}: unreadable after line 0: " in caplog.text


def test_a_line_that_is_no_item_is_named_and_the_others_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second, third = lines(3)
    content = gzip.compress(b"\n".join([first, second[:-4], third]))
    assert list(read_items(NAME, content)) == [item(1000, '{"n":0}'), item(1002, '{"n":2}')]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{NAME}: line 2 skipped: " in caplog.text


def test_frames_are_taken_until_they_have_enough_characters() -> None:
    def endless() -> Iterator[RecordedFrame]:
        while True:
            yield RecordedFrame(1, "12345")

    assert take(endless(), 11) == [RecordedFrame(1, "12345")] * 3
    assert take(iter([]), 11) == []
