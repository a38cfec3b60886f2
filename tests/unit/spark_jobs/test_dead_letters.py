"""A dead letter holds what was written, to the letter."""

import json
import time

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from core.topics import BINANCE_RAW_DATA
from spark_jobs.dead_letters import element_texts, letters_of

PLACE = (BINANCE_RAW_DATA, 0, 7)
LETTER = {
    **dict(zip(("topic", "partition", "offset"), PLACE, strict=True)),
    **{"reason": "bad", "received_at": None, "endpoint": None},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def payloads(message: bytes, *positions: int) -> list[bytes]:
    """Of dead letters of one message."""
    dead = pa.Table.from_pylist([{**LETTER, "position": position} for position in positions])
    return [letter.payload for letter in letters_of(dead, lambda _places: {PLACE: message})]


def test_an_items_payload_is_its_own_text() -> None:
    message = '[ {"s":"A", "c":1.10},"币" , null ]'.encode()
    assert payloads(message, 0, 1, 2) == [
        b'{"s":"A", "c":1.10}',
        b'"\xe5\xb8\x81"',
        b"null",
    ]


def test_a_whole_messages_payload_is_its_bytes() -> None:
    assert payloads(b"\xff\x00", -1) == [b"\xff\x00"]
    assert payloads(b"[1, 2]", -1, 1) == [b"[1, 2]", b"2"]


def test_where_the_item_is_not_found_the_message_is_kept() -> None:
    assert payloads(b"[{'s':'A'}]", 0) == [b"[{'s':'A'}]"]
    assert payloads(b"[1]", 3) == [b"[1]"]


def test_a_message_that_is_nested_too_deeply_for_python_is_kept() -> None:
    message = b"[" * 100_000 + b"]" * 100_000
    assert payloads(message, 0) == [message]


def test_a_message_of_which_all_items_are_dead_is_read_once() -> None:
    items = [f'{{"n":{number}}}' for number in range(20_000)]
    message = f"[{','.join(items)}]".encode()
    began = time.monotonic()
    assert payloads(message, *range(20_000)) == [text.encode() for text in items]
    # Reading it for each item would take minutes.
    assert time.monotonic() - began < 10


@given(st.lists(JSON), st.sampled_from(["", " ", "\n\t"]))
def test_element_texts_are_the_elements_in_their_order(values: list[object], blank: str) -> None:
    written = [json.dumps(value, ensure_ascii=False) for value in values]
    array = f"{blank}[{blank}" + f"{blank},{blank}".join(written) + f"{blank}]{blank}"
    assert element_texts(array) == written
