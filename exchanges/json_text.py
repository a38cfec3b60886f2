"""Read JSON as an exchange sends it, and keep the text of each element.

Items go to Kafka as the exchange wrote them: the values that are read here are never encoded again.
"""

import json
import re
from typing import Any, NoReturn

import orjson

DEPTH_LIMIT = 100
"""Maximum levels of nesting. A ticker has two; JSON parsers fail somewhere below a thousand."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT_OBJECT = re.compile(
    rb'\s*(\{[^{}\[\]"]*+(?:' + _STRING + rb'[^{}\[\]"]*+)*+\})\s*([,\]])', re.DOTALL
)
_TOKEN = re.compile(_STRING + rb'|[{}\[\],"]', re.DOTALL)


def read_json(text: bytes | str) -> Any:
    """Return the value of a JSON text. Raise ValueError if it is invalid or nested too deeply."""
    data = text.encode() if isinstance(text, str) else text
    value = load_json(data)
    # Counting brackets is cheap, and enough for every ticker.
    if data.count(b"[") + data.count(b"{") > DEPTH_LIMIT and _is_deeper(value, DEPTH_LIMIT):
        raise ValueError(f"more than {DEPTH_LIMIT} levels of nesting")
    return value


def load_json(text: bytes) -> Any:
    """Return the value of a JSON text of any depth that Python can parse. Raise ValueError."""
    try:
        return orjson.loads(text)
    except ValueError:
        # orjson refuses an escaped lone surrogate, which JSON allows.
        return _load_tolerantly(text)


def elements(array: bytes) -> list[bytes]:
    """Return the text of each element of a JSON array. The caller has checked that it begins with "[".

    Commas outside strings and brackets delimit elements, so an element may be invalid JSON. Raise
    ValueError for a text that is not a single array.
    """
    position = array.index(b"[") + 1
    found: list[bytes] = []
    separator = b","
    while separator == b",":
        if flat := _FLAT_OBJECT.match(array, position):
            text, separator = flat.groups()
            position = flat.end()
        else:
            end = _end_of_element(array, position)
            text, separator = array[position:end].strip(), array[end : end + 1]
            position = end + 1
        if text:
            found.append(text)
        elif found or separator == b",":
            raise ValueError("an element is missing")
    if array[position:].strip():
        raise ValueError("text after the array")
    return found


def _end_of_element(array: bytes, position: int) -> int:
    """Return the index of the comma or bracket that follows the element."""
    depth = 0
    for token in _TOKEN.finditer(array, position):
        mark = token[0]
        if mark in b"{[":
            depth += 1
        elif mark == b'"':
            raise ValueError("unterminated string")
        elif not depth and mark in b",]":
            return token.start()
        elif depth and mark in b"}]":
            depth -= 1
    raise ValueError("unterminated array")


def _load_tolerantly(text: bytes) -> Any:
    try:
        # Decode first: json would guess the encoding.
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("too many levels of nesting") from error


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
