"""Restore, from the objects of a landing archive, the frames that an exchange sent.

An object is a gzip file. Each line is an item as in core.message, with `received_at` as its last field:

    {"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...,"received_at":1743147448501233}
    {"topic":"/market/ticker:all",...,"data":{...},"received_at":1743147199001873}
    {"unreadable":"<the text>","received_at":1743147199001873}

`received_at` and the comma before it are removed from the end of the text. The rest stays unchanged,
even if the exchange has a field of that name.
"""

import gzip
import json
import logging
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from typing import Any

log = logging.getLogger(__name__)

PIECE_BYTES = 1024
"""Bytes to unpack at once. Kept small: if a piece is damaged, all of it is lost."""

# An empty object has no comma before the field. Recordings of version 0.1.0 may have spaces.
LAST_FIELD = re.compile(r'(?:(.*),\s*|({\s*))"received_at"\s*:\s*\d+\s*}\s*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class RecordedItem:
    """`text` is what the exchange sent. `received_at` is in microseconds since the epoch. `ticker` is
    the decoded text with `received_at`, empty if the text is unreadable.
    """

    received_at: int
    text: str
    is_unreadable: bool
    ticker: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """`text` is the frame as the exchange sent it, `items` are its elements.

    An unreadable frame of Binance has no items.
    """

    received_at: int
    text: str
    items: tuple[RecordedItem, ...] = field(default=(), compare=False)


def read_items(name: str, content: bytes) -> Iterator[RecordedItem]:
    """Yield the items of an object. Lines that are not items are skipped and logged with `name`."""
    number = 0
    try:
        for number, line in enumerate(read_lines(content), 1):
            try:
                yield read_item(line)
            except ValueError as error:
                log.warning("%s: line %d skipped: %s", name, number, error)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        log.warning("%s: unreadable after line %d: %s", name, number, error)


def read_lines(content: bytes) -> Iterator[bytes]:
    """Yield lines. Raise EOFError, BadGzipFile or zlib.error where the data is damaged or cut off."""
    if not content:
        raise EOFError("the object is empty")
    rest = b""
    with gzip.open(BytesIO(content)) as unpacked:
        while piece := unpacked.read1(PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
    if rest:
        yield rest


def read_item(line: bytes) -> RecordedItem:
    """Parse a line. Raise ValueError if it is not an item."""
    text = line.decode()
    try:
        item = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested too deeply: {error}") from error
    match item, LAST_FIELD.fullmatch(text):
        case {"received_at": int(received_at), **others}, re.Match() as found:
            sent = f"{found[1] or found[2]}}}"
            match others:
                # An object of the exchange may have both fields; then `received_at` occurs twice.
                case {"unreadable": str(unreadable)} if is_ours(sent):
                    return RecordedItem(received_at, encodable(unreadable), True)
            return RecordedItem(received_at, sent, False, item)
        case _:
            raise ValueError(f"{text[:100]!r}: expected an object that ends with received_at")


def is_ours(text: str) -> bool:
    """Return whether the extractor wrote the object, for a text that it could not read."""
    return list(json.loads(text)) == ["unreadable"]


def encodable(unreadable: str) -> str:
    """Return the text with lone surrogates, which come from JSON escapes, escaped again."""
    return unreadable.encode("utf-8", "backslashreplace").decode()


def binance_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Yield frames. Consecutive items with the same `received_at` were one array.

    A single unreadable item is returned as a frame of that text. If it was the only element of an array,
    the brackets are lost; an extractor writes the same item for both.
    """
    for received_at, group in groupby(items, key=lambda item: item.received_at):
        elements = list(group)
        if len(elements) == 1 and elements[0].is_unreadable:
            yield RecordedFrame(received_at, elements[0].text)
        else:
            text = f"[{','.join(item.text for item in elements)}]"
            yield RecordedFrame(received_at, text, tuple(elements))


def kucoin_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Yield frames. Every item was a frame."""
    return (RecordedFrame(item.received_at, item.text, (item,)) for item in items)
