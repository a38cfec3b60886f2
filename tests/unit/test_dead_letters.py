"""A dead letter holds what was written, to the letter."""

import json

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.dead_letters import element_texts, payload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_an_items_payload_is_its_own_text() -> None:
    message = '[ {"s":"A", "c":1.10},"币" , null ]'.encode()
    assert [payload(message, n) for n in range(3)] == [
        b'{"s":"A", "c":1.10}',
        b'"\xe5\xb8\x81"',
        b"null",
    ]


def test_a_whole_messages_payload_is_its_bytes() -> None:
    assert payload(b"\xff\x00", -1) == b"\xff\x00"


def test_where_the_item_is_not_found_the_message_is_kept() -> None:
    assert payload(b"[{'s':'A'}]", 0) == b"[{'s':'A'}]"
    assert payload(b"[1]", 3) == b"[1]"


@given(st.lists(JSON), st.sampled_from(["", " ", "\n\t"]))
def test_element_texts_are_the_elements_in_their_order(values: list[object], blank: str) -> None:
    written = [json.dumps(value, ensure_ascii=False) for value in values]
    array = f"{blank}[{blank}" + f"{blank},{blank}".join(written) + f"{blank}]{blank}"
    assert element_texts(array) == written
