"""Read a journal from a given position onwards, while it grows."""

from collections.abc import Callable
from io import BufferedIOBase
from typing import NamedTuple

from core.message import Item
from exchanges.json_text import load_json
from extractors.journal.journal import Journal
from extractors.journal.segment import CHUNK, UNREADABLE, CorruptSegmentError, Segment, is_shortage


class Line(NamedTuple):
    """An item of the journal. `text` is its JSON as it goes to Kafka."""

    position: int
    endpoint: str
    symbol: str
    text: bytes


class JournalReader:
    """Reader of a journal, for one thread. `position` is that of the next line."""

    def __init__(self, journal: Journal, position: int, symbol_of: Callable[[Item], str]) -> None:
        self.position = position
        self._symbol_of = symbol_of
        self._journal = journal
        self._segment: Segment | None = None
        self._file: BufferedIOBase | None = None
        # Bytes that were read from the file after the last line that was returned.
        self._rest = b""

    def read(self) -> list[Line]:
        """Return the next lines, up to about a megabyte; none at the end of the journal.

        A segment that can't be read is set aside, and reading continues after it. Raise OSError if file
        descriptors or memory are lacking.
        """
        while segment := self._journal.segment_at(self.position):
            # Checked before reading: a closed segment no longer grows.
            is_whole = segment.is_closed
            try:
                lines = self._read_from(segment)
                if not lines and is_whole and self.position < segment.end:
                    raise CorruptSegmentError(f"the file ends before position {self.position}")
            except UNREADABLE as error:
                self.close()
                if is_shortage(error):
                    raise
                self.position = segment.end
                self._journal.set_aside(segment, error)
                continue
            return lines
        return []

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = self._segment = None
        self._rest = b""

    def _read_from(self, segment: Segment) -> list[Line]:
        if segment is not self._segment:
            self._enter(segment)
        # Bytes past `segment.end` are not committed yet; keep them for the next read.
        texts = self._next_texts(segment.end - self.position)
        first, self.position = self.position, self.position + len(texts)
        endpoint, symbol = segment.endpoint, self._symbol
        return [
            Line(position, endpoint, symbol(text), text)
            for position, text in enumerate(texts, first)
        ]

    def _symbol(self, text: bytes) -> str:
        item: Item = load_json(text)
        if not (isinstance(item, dict) and isinstance(item.get("received_at"), int)):
            raise ValueError("a line is not an item")
        return self._symbol_of(item)

    def _enter(self, segment: Segment) -> None:
        self.close()
        self._file, self._segment = segment.open(), segment
        position = segment.first
        while position < self.position and (skipped := self._next_texts(self.position - position)):
            position += len(skipped)
        self.position = max(self.position, position)

    def _next_texts(self, limit: int) -> list[bytes]:
        assert self._file
        while b"\n" not in self._rest and (data := self._file.read(CHUNK)):
            self._rest += data
        *texts, torn = self._rest.split(b"\n")
        self._rest = b"\n".join((*texts[limit:], torn))
        return texts[:limit]
