"""From the objects of a landing archive to the frames that an exchange once sent.

An object is gzip, and a line of it an item as core.message has it, the last field `received_at`:

    {"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...,"received_at":1743147448501233}
    {"topic":"/market/ticker:all",...,"data":{...},"received_at":1743147199001873}
    {"unreadable":"<the text>","received_at":1743147199001873}

That field, and its comma, are cut from the end of the text. The rest stays as it is to the letter,
even where the exchange has a field of that name.
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

# Of what is unpacked at once, the part before the damage is lost too.
PIECE_BYTES = 1024

# An object that was empty has no comma before the field. Recordings of version 0.1.0 may have spaces.
LAST_FIELD = re.compile(r'(?:(.*),\s*|({\s*))"received_at"\s*:\s*\d+\s*}\s*', re.DOTALL)


@dataclass(frozen=True, slots=True)
class RecordedItem:
    """`text` is what the exchange sent, `received_at` microseconds since the epoch. `ticker` is the
    text decoded, with `received_at`; it is empty where the text is unreadable.
    """

    received_at: int
    text: str
    is_unreadable: bool
    ticker: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """`text` is what the exchange sent at once, `items` its tickers."""

    received_at: int
    text: str
    items: tuple[RecordedItem, ...] = field(default=(), compare=False)


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
    """Raise EOFError, BadGzipFile or zlib.error where no more can be read."""
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
    """Raise ValueError for what is no item."""
    text = line.decode()
    try:
        item = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"a depth beyond reason: {error}") from error
    match item, LAST_FIELD.fullmatch(text):
        case {"received_at": int(received_at), **others}, re.Match() as found:
            sent = f"{found[1] or found[2]}}}"
            match others:
                # An object of the exchange may have both names; then ours comes in addition.
                case {"unreadable": str(unreadable), **more} if not more and is_ours(sent):
                    return RecordedItem(received_at, encodable(unreadable), True)
            return RecordedItem(received_at, sent, False, item)
        case _:
            raise ValueError(f"{text[:100]!r} is no object that ends with received_at")


def is_ours(text: str) -> bool:
    """Return whether an object is the extractor's own, made of a text that it could not read."""
    return list(json.loads(text)) == ["unreadable"]


def encodable(unreadable: str) -> str:
    """Return a lone surrogate, which comes from an escape in JSON, as that escape again."""
    return unreadable.encode("utf-8", "backslashreplace").decode()


def binance_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Neighbours that were received at the same time were one array.

    What could not be read and stands alone was a frame of that text.
    """
    for received_at, group in groupby(items, key=lambda item: item.received_at):
        elements = list(group)
        if len(elements) == 1 and elements[0].is_unreadable:
            yield RecordedFrame(received_at, elements[0].text)
        else:
            text = f"[{','.join(item.text for item in elements)}]"
            yield RecordedFrame(received_at, text, tuple(elements))


def kucoin_frames(items: Iterable[RecordedItem]) -> Iterator[RecordedFrame]:
    """Every item was a frame."""
    return (RecordedFrame(item.received_at, item.text, (item,)) for item in items)
