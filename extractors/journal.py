"""What was received, on local disk, until Kafka and the object store both have it.

A folder with the journal's own id and its segments (segment.py). Positions count a journal's items
from 0. After a start they go on far beyond the last, because what a power failure took from the disk
may have reached Kafka before, and no two items may have one position. A folder without segments
begins a new journal, with an id of its own.

A segment is closed after 60 s, at 8 MB, at the full hour and where the endpoint changes.

What it promises: after kill -9 all that append() has taken is there. After a power failure the last
seconds may be missing. A torn end is cut off at the next start; a segment that can't be read is set
aside as *.corrupt and named in the log. Beyond its limit the journal keeps what it has and refuses
what comes.

One thread appends; any may read.
"""

import fcntl
import logging
import os
import re
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from core.message import Item, encode_item
from extractors.found_segments import found_segments
from extractors.segment import Segment

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8_000_000
SEGMENT_SECONDS = 60.0
HOUR = 3_600_000_000
"""Microseconds."""

GAP = 1_000_000_000
"""More items than a power failure can take."""

ID = re.compile(r"(?P<id>[0-9a-f]{16}) (?P<next>\d{1,19})")


class JournalError(Exception):
    """The folder can't be used as a journal. The message has its name."""


class Journal:
    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is in bytes on the disk. Raises JournalError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = (folder / "lock").open("w")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._segments = found_segments(folder)
            self.id, self._end = _begin(folder / "id", self._segments)
        except BlockingIOError as error:
            self._lock_file.close()
            raise JournalError(f"{folder}: another process uses it") from error
        except OSError as error:
            raise JournalError(f"{folder}: {error}") from error
        self._folder = folder
        self._limit = limit
        # Held by whoever looks at the segments or changes them or the file.
        self._changed = threading.Condition(threading.RLock())
        self._file: IO[bytes] | None = None
        self._close_at = 0.0
        self.is_closed = False
        """Nothing will be appended any more."""
        self.was_left = bool(self._segments)
        """A former process left items."""
        self.start = self._segments[0].first if self._segments else 0
        """The position of the oldest one."""
        self.size = sum(segment.size for segment in self._segments)
        """Bytes on the disk."""
        log.info("journal id=%s items_left=%d", self.id, self.items_from(self.start))

    def append(self, endpoint: str, items: Sequence[Item], received_at: int, now: float) -> str:
        """All of the items, in one write, or none: then the reason. Empty where they were taken.

        `received_at` is theirs, microseconds since the epoch; `now` a monotonic clock in seconds.
        """
        text = b"".join(encode_item(item) + b"\n" for item in items)
        # A reader may set the segment aside at any moment.
        with self._changed:
            if self.size + len(text) > self._limit:
                return f"{self._limit} bytes are the limit"
            try:
                segment = self._open_segment(endpoint, received_at, now)
                self._write(segment, text)
            except OSError as error:
                # Readers may have seen the start of what was taken back.
                self._close_segment()
                return f"{self._folder}: {error}"
            segment.size += len(text)
            self.size += len(text)
            segment.end += len(items)
            self._end = segment.end
            if segment.size >= SEGMENT_BYTES:
                self._close_segment()
            self._changed.notify_all()
        return ""

    def close_if_due(self, now: float) -> None:
        """Closes the open segment 60 s after it was begun."""
        with self._changed:
            if self._file and now >= self._close_at:
                self._close_segment()

    def close(self) -> None:
        """What is there stays for the followers, and for the next process."""
        with self._changed:
            self._close_segment()
            self.is_closed = True
            self._changed.notify_all()

    def unlock(self) -> None:
        """Another process may use the folder."""
        self._lock_file.close()

    def segments(self) -> list[Segment]:
        """Oldest first."""
        with self._changed:
            return list(self._segments)

    def closed_segments(self) -> list[Segment]:
        """Oldest first."""
        return [segment for segment in self.segments() if segment.is_closed]

    def segment_at(self, position: int) -> Segment | None:
        """The segment that holds the position, or the next one after it."""
        with self._changed:
            return next((each for each in self._segments if each.end > position), None)

    def items_from(self, position: int) -> int:
        """How many items there are at the position and after it."""
        with self._changed:
            return sum(max(0, s.end - max(s.first, position)) for s in self._segments)

    def wait_for_items(self, position: int, timeout: float) -> None:
        """Until there is one at the position or after it or the journal is closed; seconds at most."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self.is_closed or (bool(self._segments) and self._segments[-1].end > position)
                ),
                timeout,
            )

    def pack(self, segment: Segment) -> None:
        """A closed segment, so that it takes less room."""
        before = segment.size
        segment.pack()
        with self._changed:
            self.size += segment.size - before

    def delete(self, segment: Segment) -> None:
        """Both followers have it."""
        self._remove(segment)
        segment.delete()

    def set_aside(self, segment: Segment, reason: object) -> None:
        """A segment that can't be read."""
        with self._changed:
            if not segment.is_closed:
                self._close_segment()
            self._remove(segment)
        segment.set_aside(reason)

    def _remove(self, segment: Segment) -> None:
        with self._changed:
            self._segments.remove(segment)
            self.size -= segment.size

    def _open_segment(self, endpoint: str, received_at: int, now: float) -> Segment:
        if self._file:
            segment = self._segments[-1]
            is_same_hour = segment.received_at // HOUR == received_at // HOUR
            if segment.endpoint == endpoint and is_same_hour:
                return segment
            self._close_segment()
        first = self._end
        segment = Segment(self._folder, endpoint, first, first, received_at)
        self._file = segment.plain.open("wb", buffering=0)
        self._close_at = now + SEGMENT_SECONDS
        self._segments.append(segment)
        return segment

    def _write(self, segment: Segment, text: bytes) -> None:
        """All, or nothing: half a line would spoil the next one."""
        assert self._file
        try:
            if self._file.write(text) < len(text):
                raise OSError("written in part: is the disk full?")
        except OSError:
            self._file.truncate(segment.size)
            raise

    def _close_segment(self) -> None:
        if self._file is None:
            return
        self._file.close()
        self._file = None
        segment = self._segments[-1]
        segment.is_closed = True
        if segment.end == segment.first:
            self.delete(segment)


def _begin(path: Path, segments: Sequence[Segment]) -> tuple[str, int]:
    """The journal's id, and the position of this process's first item.

    Each process reserves more positions than it can use, on the disk before it begins. So what it
    gives is behind all that was ever given, also if a power failure took it away. A journal that was
    left empty is a new one, and begins at 0.
    """
    known = ID.fullmatch(path.read_text(errors="replace")) if segments and path.exists() else None
    journal_id = known["id"] if known else secrets.token_hex(8)
    last = segments[-1].end if segments else 0
    reserved = int(known["next"]) if known else 0
    first = reserved if reserved >= last else last + GAP
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(f"{journal_id} {first + GAP}")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return journal_id, first
