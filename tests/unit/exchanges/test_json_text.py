"""Test reading JSON: the text of each element is kept, and invalid JSON is refused."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchanges.json_text import DEPTH_LIMIT, elements, load_json, read_json
from tests.support.json_texts import VALUES, json_texts


def positions(parts: list[bytes], text: bytes) -> list[int]:
    """Return the index of each part in the text. Search for each part after the previous one."""
    found: list[int] = []
    end = 0
    for part in parts:
        found.append(text.index(part, end))
        end = found[-1] + len(part)
    return found


@given(json_texts(st.lists(VALUES, max_size=5)))
@example((b" [ ] ", []))
@example(
    (b'\r\n[\n{"a" : [1, {} ]}\t, "],[" ,"\\\\", "\\"]"]\n', [{"a": [1, {}]}, "],[", "\\", '"]'])
)
def test_elements_are_pieces_of_the_text_in_order_and_have_the_values(
    written: tuple[bytes, list[Any]],
) -> None:
    text, values = written
    texts = elements(text)
    assert [json.loads(each) for each in texts] == values
    assert [each.strip() for each in texts] == texts
    assert len(positions(texts, text)) == len(values)


def test_elements_are_kept_to_the_letter() -> None:
    texts = [
        b'{"s":"BTCUSDT", "c":85439.990,"c":1E5}',
        b'{"s":"\xe5\xb8\x81", "x": {"deep":[ ]}}',
        rb'{"s":"\u5e01\/\"}],"}',
        b"{ }",
        b"12345678901234567890.10",
        b'"text"',
        b"null",
        b"[ 1 ,2]",
    ]
    assert elements(b"[" + b" ,\r\n ".join(texts) + b"]") == texts


@pytest.mark.parametrize(
    "text",
    [
        b"[",
        b'[{"s":"A"}',
        b'[{"s":"A"},',
        b'[{"s":"A"',
        b'[{"s":"A}]',
        b'["A]',
        b"[,]",
        b"[1,]",
        b"[,1]",
        b"[1,,2]",
        b"[1] [2]",
        b"[1]]",
        b"[1]{",
        b"[" * 100_000,
        b'["' * 100_000,
        b'[{"' + b"\\" * 100_001,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_text_that_is_not_one_array_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        elements(text)


INVALID_JSON = [
    b'{"s":"B","c":NaN}',
    b'{"s":"B","c":-Infinity}',
    b'{"s":"B","c":}',
    b'{"s":"B",}',
    b'{"s"}',
    b'{"s":"B"}}',
    b"}",
    b'{"s":"B"} {"s":"B"}',
    b"{'s':'B'}",
    b'{"s":"\n"}',
    b'{"s":"\\\n"}',
    b'{"s":"\\x"}',
    b'{"s":"\xff"}',
    b"\xef\xbb\xbf{}",
    b"nul",
    b"01",
    b'{"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
]


@pytest.mark.parametrize("no_json", INVALID_JSON, ids=lambda text: repr(text[:20]))
def test_element_that_is_no_json_is_delimited_and_costs_no_neighbour(no_json: bytes) -> None:
    neighbours = [b'{"s":"A","x":[{}]}', b'{"s":"C"}']
    assert elements(b"[%s,%s, %s ]" % (neighbours[0], no_json, neighbours[1])) == [
        neighbours[0],
        no_json,
        neighbours[1],
    ]
    assert elements(b"[%s]" % no_json) == [no_json]
    with pytest.raises(ValueError):
        read_json(no_json)


@given(json_texts(VALUES))
@example((b'"\\ud800"', "\ud800"))
def test_any_json_is_read(written: tuple[bytes, Any]) -> None:
    text, value = written
    assert read_json(text) == load_json(text) == value
    assert read_json(text.decode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'{"s":"\ud800"}', {"s": "\ud800"}),
        (rb'{"s":"\udc00\ud800"}', {"s": "\udc00\ud800"}),
        (rb'{"\ud83d":"\ud83d\ude00"}', {"\ud83d": "😀"}),
    ],
)
def test_lone_surrogate_that_is_written_as_an_escape_is_read(text: bytes, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"<html>502</html>",
        b"\xef\xbb\xbf{}",
        "\ufeff{}",
        '{"s":"A"}'.encode("utf-16"),
        b"NaN",
        b'{"c":NaN}',
        b"[Infinity,-Infinity]",
        b"\xff",
        b'"\xed\xa0\x80"',
        "\ud800",
        b"[1",
        b"1 2",
        b"{'s':1}",
        b'{"s":1}\x00',
        b'"\t"',
    ],
    ids=repr,
)
def test_text_that_is_no_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(ValueError):
        read_json(text)


NESTED = {
    "arrays": (b"[", b"]"),
    "objects": (b'{"a":', b"}"),
}


@pytest.mark.parametrize(("opening", "closing"), NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("inmost", [b"1", b"[]", b"{}", b'{"a":1}'])
def test_up_to_a_hundred_levels_of_nesting_are_read(
    opening: bytes, closing: bytes, inmost: bytes
) -> None:
    assert DEPTH_LIMIT == 100
    around = DEPTH_LIMIT - (inmost != b"1")
    read_json(opening * around + inmost + closing * around)
    for more in (1, 2, 10, 900, 2_000, 100_000):
        text = opening * (around + more) + inmost + closing * (around + more)
        with pytest.raises(ValueError, match="levels of nesting"):
            read_json(text)


def test_many_brackets_that_are_not_nested_are_read() -> None:
    text = b"[%s]" % b",".join([b'{"a":[{}],"b":"[[[["}'] * 1_000)
    assert read_json(text) == [{"a": [{}], "b": "[[[["}] * 1_000
    assert read_json(b'"%s"' % (b"[" * 1_000)) == "[" * 1_000


def test_json_of_any_depth_that_python_reads_is_loaded() -> None:
    """Items of version 0.1.0 may be nested deeper than today's limit."""
    text = b"[" * 500 + b"]" * 500
    assert isinstance(load_json(text), list)
    with pytest.raises(ValueError):
        load_json(b"[" * 100_000 + b"]" * 100_000)
