"""Keep received items on local disk until both Kafka and the object store have them.

A journal is a folder with its id, its segments (segment.py) and a record of what Kafka has
(to_kafka/delivered.py). The record of the backfill (backfill/progress.py) and the mark of an extractor that
has worked (extractor.py) are in the same folder.
Positions number the items from 0. A restart skips at least 10^9 positions: Kafka may hold items that the
disk lost in a power failure, and no two items may share a position. A folder without segments begins a
new journal with a new id.

A segment is closed after 60 s, at 8 MB (in a small journal at an eighth of its limit, but not below
100 kB), at the full hour and when the endpoint changes.

Guarantee: kill -9 loses no item that append() has accepted; a power failure may lose the last seconds.
The next start truncates a torn end. A segment that can't be read is renamed to *.corrupt and logged.
At its limit, or on a full disk, the journal first drops the oldest segments that Kafka has, even if
landing/ lacks them, and then refuses new items.

One thread appends; any thread may read.
"""

import errno
import fcntl
import logging
import re
import secrets
import threading
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
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
"""Minimum number of segments in a full journal, unless LEAST_SEGMENT_BYTES allows fewer: the open one can't
be dropped."""

SEGMENT_SECONDS = 60.0
HOUR = 3_600_000_000
"""One hour, in microseconds."""

DISK_RETRY = 1.0
"""Seconds from a failed write to the next attempt."""

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk: dropping a segment may help. After any other, it would only lose data. EFBIG is one,
because tests imitate a full disk by limiting the size of files."""

GAP = 1_000_000_000
"""Minimum number of positions that a restart skips: more items than a power failure can lose."""

ID = re.compile(r"(?P<id>[0-9a-f]{16}) (?P<next>\d{1,19})")


class JournalError(Exception):
    """The folder can't be used as a journal. The message contains its path."""


class Journal:
    def __init__(self, folder: Path, limit: int) -> None:
        """Open the journal in a folder. `limit` is in bytes on disk. Raise JournalError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = (folder / "lock").open("w")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._segments = found_segments(folder)
            is_known, self.id, self.end = _next_position(folder / "id", self._segments)
        except BlockingIOError as error:
            self._lock_file.close()
            raise JournalError(f"{folder}: another process uses it") from error
        except OSError as error:
            raise JournalError(f"{folder}: {error}") from error
        self.folder = folder
        self._is_reserved = False
        try:
            self._reserve_positions()
        except OSError as error:
            # Sending the items that were left makes room. Until then, new items are refused.
            if not (is_known and error.errno in DISK_IS_FULL):
                raise JournalError(f"{folder}: {error}") from error
            log.error("positions not reserved folder=%s reason=%r", folder, str(error))
        self._limit = limit
        small = max(LEAST_SEGMENT_BYTES, limit // SEGMENTS_WITHIN_LIMIT)
        self._segment_bytes = min(SEGMENT_BYTES, small)
        # Guards the list of segments and the open file.
        self._changed = threading.Condition(threading.RLock())
        self._file: IO[bytes] | None = None
        self._close_at = 0.0
        self._is_full = False
        self._disk_error = ""
        self._retry_disk_at = 0.0
        self.is_closed = False
        """Whether appending has ended."""
        self.had_items = bool(self._segments)
        """Whether a previous process left items."""
        self.start = self._segments[0].first if self._segments else 0
        """Position of the oldest item that was left (0 if none)."""
        self.size = sum(segment.size for segment in self._segments)
        """Bytes on disk."""
        self.delivered = 0
        """Position up to which Kafka has every item; set by the thread that delivers."""
        self.dropped = 0
        """Number of items dropped for lack of space. Kafka has them; landing/ lacks them."""
        log.info("journal opened id=%s items_left=%d", self.id, self.items_from(self.start))

    def append(self, endpoint: str, items: Sequence[bytes], received_at: int, now: float) -> str:
        """Write all items or none. Return the reason if they are refused, else an empty string.

        `received_at` is that of the first item, in microseconds since the epoch; `now` is a monotonic
        clock in seconds.
        """
        text = b"\n".join(items) + b"\n"
        # A reader may set the segment aside at any time.
        with self._changed:
            while self._is_full or self.size + len(text) > self._limit:
                if not self._drop_oldest():
                    # Refuse until there is space, so that no small write succeeds between refused ones.
                    self._is_full = bool(self._segments)
                    return f"limit of {self._limit} bytes reached"
            if now < self._retry_disk_at:
                return self._disk_error
            while error := self._try_to_write(endpoint, text, received_at, now):
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
        """Close the open segment 60 s after it was opened."""
        with self._changed:
            if self._file and now >= self._close_at:
                self._close_segment()

    def close(self) -> None:
        """End appending. The items stay for the followers and for the next process."""
        with self._changed:
            self._close_segment()
            self.is_closed = True
            self._changed.notify_all()

    def unlock(self) -> None:
        """Release the folder's lock, so that another process can use it."""
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
        """Block until an item at or after the position exists or the journal is closed.

        Block for up to `timeout` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed or self._has_items_at(position), timeout)

    def delete(self, segment: Segment) -> bool:
        """Delete a segment that Kafka and landing/ both have, or that there is no space for.

        Return whether it is gone. If its file can't be deleted, the reason is logged and the segment stays.
        """
        with self._changed:
            if segment in self._segments:
                try:
                    segment.path.unlink(missing_ok=True)
                except OSError as error:
                    log.error("segment not deleted file=%s reason=%r", segment.path, str(error))
                    return False
                self._remove(segment)
        return True

    def set_aside(self, segment: Segment, reason: object) -> None:
        """Remove a segment that can't be read, unless it is gone, and rename its file to *.corrupt."""
        with self._changed:
            if segment not in self._segments:
                return
            if not segment.is_closed:
                self._close_segment()
            self._remove(segment)
        set_aside(segment.path, reason)

    def _index_at(self, position: int) -> int:
        return bisect_right(self._segments, position, key=lambda segment: segment.end)

    def _has_items_at(self, position: int) -> bool:
        return bool(self._segments) and self._segments[-1].end > position

    def _drop_oldest(self) -> bool:
        """Delete the oldest segment if it is closed and Kafka has it. Return whether it was deleted."""
        oldest = self._segments[0] if self._segments else None
        if oldest is None or not oldest.is_closed or oldest.end > self.delivered:
            return False
        if not self.delete(oldest):
            return False
        if not oldest.is_uploaded:
            items = oldest.end - oldest.first
            self.dropped += items
            log.error(
                "segment dropped before upload items=%d first=%d last=%d received_from=%s",
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
        if not self._is_reserved:
            self._reserve_positions()
        path = self.folder / f"{self.end:020}-{endpoint}.jsonl"
        segment = Segment(path, endpoint, self.end, self.end, received_at)
        self._file = path.open("wb", buffering=0)
        self._close_at = now + SEGMENT_SECONDS
        self._segments.append(segment)
        return segment

    def _reserve_positions(self) -> None:
        """Record durably that this process may use GAP positions from `end` on. Raise OSError.

        The next process starts after them or GAP after the last item found, whichever is later. So its
        positions follow all earlier ones, even if a power failure lost their items.
        """
        replace_file(self.folder / "id", f"{self.id} {self.end + GAP}", durably=True)
        self._is_reserved = True

    def _try_to_write(
        self, endpoint: str, text: bytes, received_at: int, now: float
    ) -> OSError | None:
        """Write the text to the open segment. Return the error if that fails."""
        try:
            self._write(self._open_segment(endpoint, received_at, now), text)
        except OSError as error:
            # A reader may have buffered part of the truncated write; a new segment discards it.
            self._close_segment()
            return error
        return None

    def _write(self, segment: Segment, text: bytes) -> None:
        """Write all or nothing: a partial line would corrupt the next one."""
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
            self._remove(segment)
            # If it can't be deleted, the next start deletes it.
            with suppress(OSError):
                segment.path.unlink(missing_ok=True)


def _next_position(path: Path, segments: Sequence[Segment]) -> tuple[bool, str, int]:
    """Return whether the journal's id is recorded, the id, and the position of this process's first item.

    A journal without segments is a new one with a new id, and begins at 0.
    """
    known = ID.fullmatch(path.read_text(errors="replace")) if segments and path.exists() else None
    journal_id = known["id"] if known else secrets.token_hex(8)
    recorded = int(known["next"]) if known else 0
    first = max(recorded, segments[-1].end + GAP) if segments else 0
    return bool(known), journal_id, first
