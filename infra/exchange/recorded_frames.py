"""From the objects of a landing archive to the frames that an exchange once sent.

An object is gzip, and a line of it an item as core.message has it, the last field `received_at`:

    {"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...,"received_at":1743147448501233}
    {"topic":"/market/ticker:all",...,"data":{...},"received_at":1743147199001873}
    {"unreadable":"<the text>","received_at":1743147199001873}

That field is cut out of the text: so the rest stays what it is, digit for digit.
"""

import gzip
import json
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import groupby
from typing import NamedTuple

log = logging.getLogger(__name__)

# Of what is unpacked at once, the part before the damage is lost too.
PIECE_BYTES = 1024

LAST_FIELD = re.compile(r'(.*[{,])\s*"received_at"\s*:\s*\d+\s*}\s*')


class RecordedItem(NamedTuple):
    """`text` is what the exchange sent, `received_at` microseconds since the epoch."""

    received_at: int
    text: str
    is_unreadable: bool


class RecordedFrame(NamedTuple):
    received_at: int
    text: str


def read_items(name: str, content: bytes) -> Iterator[RecordedItem]:
    """What can be read of an object. What can't is told to the log, under the object's name."""
    number = 0
    try:
        for number, line in enumerate(read_lines(content), 1):
            try:
                yield read_item(line)
            except ValueError as error:
                log.warning("%s: line %d is left out: %s", name, number, error)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        log.warning("%s: no more can be read after line %d: %s", name, number, error)


def read_lines(content: bytes) -> Iterator[bytes]:
    """Raises EOFError, BadGzipFile or zlib.error where no more can be read."""
    if not content:
        raise EOFError("it is empty")
    rest = b""
    with gzip.open(BytesIO(content)) as unpacked:
        while piece := unpacked.read1(PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines
    if rest:
        yield rest


def read_item(line: bytes) -> RecordedItem:
    """Raises ValueError for what is no item."""
    text = line.decode()
    try:
        item = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"a depth beyond reason: {error}") from error
    match item:
        case {"unreadable": str(unreadable), "received_at": int(received_at), **rest} if not rest:
            # A lone surrogate comes from an escape in JSON, and becomes that escape again.
            sent = unreadable.encode("utf-8", "backslashreplace").decode()
            return RecordedItem(received_at, sent, True)
        case {"received_at": int(received_at)} if others := LAST_FIELD.fullmatch(text):
            return RecordedItem(received_at, others[1].removesuffix(",") + "}", False)
        case _:
            raise ValueError(f"{text[:100]!r} is no object that ends with received_at")


def binance_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Neighbours that were received at the same time were one array.

    What could not be read and stands alone was a frame of that text.
    """
    for received_at, group in groupby(items, key=lambda item: item.received_at):
        elements = list(group)
        if len(elements) == 1 and elements[0].is_unreadable:
            yield RecordedFrame(received_at, elements[0].text)
        else:
            yield RecordedFrame(received_at, f"[{','.join(item.text for item in elements)}]")


def kucoin_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Every item was a frame."""
    return (RecordedFrame(item.received_at, item.text) for item in items)
