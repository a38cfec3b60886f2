"""Split a message's array into elements: the text and the value of each."""

import json
import re
from typing import Any, NamedTuple

from spark_jobs.tickers.values import Number

BLANKS = re.compile(r"[ \t\r\n]*")

_decode = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number).raw_decode


class Element(NamedTuple):
    """`text` is exactly what the message has; numbers in `value` are texts, too."""

    text: str
    value: Any


def elements_of(message: bytes) -> tuple[list[Element], str]:
    """Return the array's elements, and the text after the array, without leading blanks.

    Raise ValueError if the message does not begin with a JSON array, RecursionError if it is nested too
    deeply for Python's JSON reader.
    """
    text = message.decode()
    at = _skip_blanks(text, 0)
    if not text.startswith("[", at):
        raise ValueError("no JSON array")
    at = _skip_blanks(text, at + 1)
    elements: list[Element] = []
    if text.startswith("]", at):
        return elements, text[_skip_blanks(text, at + 1) :]
    while True:
        value, end = _decode(text, at)
        elements.append(Element(text[at:end], value))
        at = _skip_blanks(text, end)
        if text.startswith("]", at):
            return elements, text[_skip_blanks(text, at + 1) :]
        if not text.startswith(",", at):
            raise ValueError("the array does not end")
        at = _skip_blanks(text, at + 1)


def _skip_blanks(text: str, at: int) -> int:
    blanks = BLANKS.match(text, at)
    return blanks.end() if blanks else at
