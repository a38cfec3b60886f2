"""A message's array, element by element: the text and the value of each."""

import json
import re
from typing import Any, NamedTuple

from spark_jobs.tickers.values import Number

BLANKS = re.compile(r"[ \t\r\n]*")

_decode = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number).raw_decode


class Element(NamedTuple):
    """`text` is to the letter what the message has; numbers in `value` are text too."""

    text: str
    value: Any


def elements_of(message: bytes) -> tuple[list[Element], str]:
    """Return the array's elements, and what follows the array: blanks are nothing.

    Raise ValueError for a message that begins with no JSON array, RecursionError for one that is nested
    some thousand deep.
    """
    text = message.decode()
    at = _behind_blanks(text, 0)
    if not text.startswith("[", at):
        raise ValueError("no JSON array")
    at = _behind_blanks(text, at + 1)
    elements: list[Element] = []
    if text.startswith("]", at):
        return elements, text[_behind_blanks(text, at + 1) :]
    while True:
        value, end = _decode(text, at)
        elements.append(Element(text[at:end], value))
        at = _behind_blanks(text, end)
        if text.startswith("]", at):
            return elements, text[_behind_blanks(text, at + 1) :]
        if not text.startswith(",", at):
            raise ValueError("an array that does not end")
        at = _behind_blanks(text, at + 1)


def _behind_blanks(text: str, at: int) -> int:
    blanks = BLANKS.match(text, at)
    return blanks.end() if blanks else at
