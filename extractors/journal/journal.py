"""Keep on local disk what was received, until Kafka and the object store both have it.

A journal is a folder with its id, its segments (segment.py) and a record of what Kafka has
(delivered.py). Positions count its items from 0. A restart skips ahead 10^9 positions: Kafka may hold
items that the disk lost in a power failure, and no two items may have one position. A folder without
segments begins a new journal with a new id.

A segment is closed after 60 s, at 8 MB (in a small journal at an eighth of its limit), at the full
hour and where the endpoint changes.

Guarantee: after kill -9 all that append() has taken is there; after a power failure the last seconds
may be missing. A torn end is cut off at the next start; a segment that can't be read is renamed to
*.corrupt and named in the log. At its limit, or on a full disk, the journal first drops the oldest
segments that Kafka has, though landing/ lacks them, and then refuses what comes.

One thread appends; any may read.
"""

import errno
import fcntl
import logging
import re
import secrets
import threading
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from extractors.journal.recovery import found_segments
from extractors.journal.replace_file import replace_file
from extractors.journal.segment import Segment, set_aside

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8_000_000
LEAST_SEGMENT_BYTES = 100_000
SEGMENTS_WITHIN_LIMIT = 8
"""Segments of a full journal at least: the open one can't be dropped."""

SEGMENT_SECONDS = 60.0
HOUR = 3_600_000_000
"""Microseconds."""

DISK_RETRY = 1.0
"""Seconds after a failed write before the disk is tried again."""

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors that deleting a segment may cure; any other would cost all that Kafka has, for nothing."""

GAP = 1_000_000_000
"""More items than a power failure can take."""

ID = re.compile(r"(?P<id>[0-9a-f]{16}) (?P<next>\d{1,19})")


class JournalError(Exception):
    """The folder can't be used as a journal. The message has its name."""


class Journal:
    def __init__(self, folder: Path, limit: int) -> None:
        """`limit` is in bytes on the disk. Raise JournalError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = (folder / "lock").open("w")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._segments = found_segments(folder)
            self.id, self.end = _begin(folder / "id", self._segments)
        except BlockingIOError as error:
            self._lock_file.close()
            raise JournalError(f"{folder}: another process uses it") from error
        except OSError as error:
            raise JournalError(f"{folder}: {error}") from error
        self.folder = folder
        self._limit = limit
        small = max(LEAST_SEGMENT_BYTES, limit // SEGMENTS_WITHIN_LIMIT)
        self._segment_bytes = min(SEGMENT_BYTES, small)
        # Held to read or change the list of segments, or the open file.
        self._changed = threading.Condition(threading.RLock())
        self._file: IO[bytes] | None = None
        self._close_at = 0.0
        self._is_full = False
        self._disk_error = ""
        self._retry_disk_at = 0.0
        self.is_closed = False
        """Nothing will be appended any more."""
        self.was_left = bool(self._segments)
        """Whether a previous process left items."""
        self.start = self._segments[0].first if self._segments else 0
        """The position of the oldest one."""
        self.size = sum(segment.size for segment in self._segments)
        """Bytes on the disk."""
        self.delivered = 0
        """The position up to which Kafka has everything; the thread that delivers sets it."""
        self.dropped = 0
        """Items dropped for lack of room, which Kafka has and landing/ lacks."""
        log.info("journal id=%s items_left=%d", self.id, self.items_from(self.start))

    def append(self, endpoint: str, items: Sequence[bytes], received_at: int, now: float) -> str:
        """Write all of the items at once, or none. Return the reason of a refusal, else nothing.

        `received_at` is that of the first, in microseconds since the epoch; `now` is a monotonic
        clock in seconds.
        """
        text = b"\n".join(items) + b"\n"
        # A reader may set the segment aside at any moment.
        with self._changed:
            while self._is_full or self.size + len(text) > self._limit:
                if not self._drop_oldest():
                    # Until there is room again, lest small writes slip in between refused ones.
                    self._is_full = bool(self._segments)
                    return f"{self._limit} bytes are the limit"
            if now < self._retry_disk_at:
                return self._disk_error
            while error := self._disk_refusal(endpoint, text, received_at, now):
                if not (error.errno in DISK_IS_FULL and self._drop_oldest()):
                    self._disk_error = f"{self.folder}: {error}"
                    self._retry_disk_at = now + DISK_RETRY
                    return self._disk_error
            segment = self._segments[-1]
            segment.size += len(text)
            self.size += len(text)
            segment.end += len(items)
            self.end = segment.end
            if segment.size >= self._segment_bytes:
                self._close_segment()
            self._changed.notify_all()
        return ""

    def close_if_due(self, now: float) -> None:
        """Close the open segment 60 s after it was begun."""
        with self._changed:
            if self._file and now >= self._close_at:
                self._close_segment()

    def close(self) -> None:
        """Append nothing any more. The items stay for the followers, and for the next process."""
        with self._changed:
            self._close_segment()
            self.is_closed = True
            self._changed.notify_all()

    def unlock(self) -> None:
        """Leave the folder to another process."""
        self._lock_file.close()

    def segments(self) -> list[Segment]:
        """Return the segments, oldest first."""
        with self._changed:
            return list(self._segments)

    def closed_segments(self) -> list[Segment]:
        """Return the closed segments, oldest first."""
        return [segment for segment in self.segments() if segment.is_closed]

    def segment_at(self, position: int) -> Segment | None:
        """Return the segment that holds the position, or the next one after it."""
        with self._changed:
            index = self._index_at(position)
            return self._segments[index] if index < len(self._segments) else None

    def items_from(self, position: int) -> int:
        """Return the number of items at the position and after it."""
        with self._changed:
            rest = self._segments[self._index_at(position) :]
            return sum(each.end - max(each.first, position) for each in rest)

    def wait_for_items(self, position: int, timeout: float) -> None:
        """Block until there is an item at the position or after it, the journal is closed, or timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or self._has_items_at(position), timeout)

    def delete(self, segment: Segment) -> None:
        """Both followers have it, or there is no room for it. Raise OSError."""
        with self._changed:
            if segment in self._segments:
                segment.path.unlink(missing_ok=True)
                self._remove(segment)

    def set_aside(self, segment: Segment, reason: object) -> None:
        """Rename a segment that can't be read."""
        with self._changed:
            if not segment.is_closed:
                self._close_segment()
            self._remove(segment)
        set_aside(segment.path, reason)

    def _index_at(self, position: int) -> int:
        return bisect_right(self._segments, position, key=lambda segment: segment.end)

    def _has_items_at(self, position: int) -> bool:
        return bool(self._segments) and self._segments[-1].end > position

    def _drop_oldest(self) -> bool:
        """Delete the oldest segment if it is closed and Kafka has it. Return whether it did."""
        oldest = self._segments[0] if self._segments else None
        if oldest is None or not oldest.is_closed or oldest.end > self.delivered:
            return False
        try:
            self.delete(oldest)
        except OSError as error:
            log.error("segment not deleted file=%s reason=%r", oldest.path, str(error))
            return False
        if not oldest.is_uploaded:
            items = oldest.end - oldest.first
            self.dropped += items
            log.error(
                "segment dropped, landing lacks it items=%d first=%d last=%d received_from=%s",
                items,
                oldest.first,
                oldest.end - 1,
                datetime.fromtimestamp(oldest.received_at / 1e6, UTC).isoformat(),
            )
        return True

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self.size -= segment.size
        self._is_full = False

    def _open_segment(self, endpoint: str, received_at: int, now: float) -> Segment:
        if self._file:
            segment = self._segments[-1]
            is_same_hour = segment.received_at // HOUR == received_at // HOUR
            if segment.endpoint == endpoint and is_same_hour:
                return segment
            self._close_segment()
        path = self.folder / f"{self.end:020}-{endpoint}.jsonl"
        segment = Segment(path, endpoint, self.end, self.end, received_at)
        self._file = path.open("wb", buffering=0)
        self._close_at = now + SEGMENT_SECONDS
        self._segments.append(segment)
        return segment

    def _disk_refusal(
        self, endpoint: str, text: bytes, received_at: int, now: float
    ) -> OSError | None:
        """Write the text to the open segment. Return the error if the disk does not take it."""
        try:
            self._write(self._open_segment(endpoint, received_at, now), text)
        except OSError as error:
            # A reader may have buffered part of the truncated write; a new segment discards it.
            self._close_segment()
            return error
        return None

    def _write(self, segment: Segment, text: bytes) -> None:
        """Write all, or nothing: half a line would spoil the next one."""
        assert self._file
        try:
            if self._file.write(text) < len(text):
                raise OSError(errno.ENOSPC, "written in part: is the disk full?")
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
    """Return the journal's id, and the position of this process's first item.

    Each process reserves more positions than it can use, on the disk before it begins. So its
    positions follow all that were ever used, though a power failure took the items. A journal that
    was left empty is a new one, and begins at 0.
    """
    known = ID.fullmatch(path.read_text(errors="replace")) if segments and path.exists() else None
    journal_id = known["id"] if known else secrets.token_hex(8)
    last = segments[-1].end if segments else 0
    reserved = int(known["next"]) if known else 0
    first = reserved if reserved >= last else last + GAP
    replace_file(path, f"{journal_id} {first + GAP}", durably=True)
    return journal_id, first
