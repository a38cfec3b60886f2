"""Elements of a message's array, with their exact text."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tickers.elements import Element, elements_of
from tests.support.json_texts import BLANKS, VALUES
from tests.support.messages import at_the_depth_limit


def test_an_element_is_its_own_text_and_its_value_with_numbers_as_written() -> None:
    message = '\n[ {"s":"A", "c":1.10, "E":1E3} ,"币" , null,NaN,-0 ]\r\n'.encode()
    assert elements_of(message) == (
        [
            Element('{"s":"A", "c":1.10, "E":1E3}', {"s": "A", "c": "1.10", "E": "1E3"}),
            Element('"币"', "币"),
            Element("null", None),
            Element("NaN", "NaN"),
            Element("-0", "-0"),
        ],
        "",
    )


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    ((element,), _rest) = elements_of(b'[{"c":"1","c":null,"\\u0063":"2"}]')
    assert element.value == {"c": "2"}


@pytest.mark.parametrize("array", [b"[]", b" [ ] ", b"\t[\r\n]"])
def test_an_empty_array_has_no_elements(array: bytes) -> None:
    assert elements_of(array) == ([], "")


@pytest.mark.parametrize(
    ("message", "rest"),
    [(b"[1] x", "x"), (b"[][]", "[]"), (b"[1],[2]\n", ",[2]\n"), (b"[1]\0", "\0"), (b"[1]]", "]")],
)
def test_what_follows_the_array_is_returned(message: bytes, rest: str) -> None:
    assert elements_of(message)[1] == rest


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b" ", b"not json", b"{}", b'{"s":"A"}', b"null", b"7", b'"[]"', b"[", b"[1", b"[1,"),
        *(
            b"[,]",
            b"[1,]",
            b"[,1]",
            b"[1 2]",
            b"[}]",
            b"[{]",
            b'[{"s":',
            b"['s']",
            b"[01]",
            b"[Inf]",
        ),
        *(b'["a\nb"]', b'["\\q"]', b'["\0"]', b"\xa0[]", b"\x0c[]"),
        *(b"\xff\xfe\x00", b'["\xff"]', b'["\xed\xa0\x80"]', b"[\xc0\x80]", b"\xef\xbb\xbf[]"),
    ],
)
def test_a_message_that_is_no_array_in_utf_8_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):
        elements_of(message)


@at_the_depth_limit
def test_a_message_that_is_nested_too_deeply_for_python_is_refused() -> None:
    with pytest.raises(RecursionError):
        elements_of(b"[" * 100_000 + b"]" * 100_000)


def test_numbers_of_any_length_are_kept_as_they_are_written() -> None:
    # Python refuses to make an int of more than 4,300 digits.
    digits = "7" * 1_000_000
    assert elements_of(f"[{digits},1E999999999]".encode())[0] == [
        Element(digits, digits),
        Element("1E999999999", "1E999999999"),
    ]


def test_a_message_is_read_in_time_that_grows_with_its_length() -> None:
    began = time.process_time()
    elements, _rest = elements_of(b"[" + b",".join([b'"%b"' % (300 * b"x")] * 100_000) + b"]")
    assert len(elements) == 100_000
    # Copying the rest of the message for each element would take minutes.
    assert time.process_time() - began < 20


@given(st.lists(VALUES, max_size=5), BLANKS)
def test_texts_are_the_elements_in_their_order(values: list[object], blank: str) -> None:
    texts = [json.dumps(value) for value in values]
    array = f"{blank}[{blank}" + f"{blank},{blank}".join(texts) + f"{blank}]{blank}"
    elements, rest = elements_of(array.encode())
    assert ([element.text for element in elements], rest) == (texts, "")
