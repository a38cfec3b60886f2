"""One file of a journal: JSON lines, a line an item, all from one endpoint.

    00000000000000001000-stream.binance.com.jsonl                            as it is written
    00000000000000000000-00000000000000000999-stream.binance.com.jsonl.gz    closed and compressed

The numbers are the positions of the first and the last item.
"""

import gzip
import json
import logging
import os
import re
import shutil
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

log = logging.getLogger(__name__)

PLAIN = re.compile(r"(?P<first>\d{20})-(?P<endpoint>.+)\.jsonl")
PACKED = re.compile(r"(?P<first>\d{20})-(?P<last>\d{20})-(?P<endpoint>.+)\.jsonl\.gz")

CHUNK = 1_000_000
"""Bytes that are read at a time."""


class CorruptSegmentError(Exception):
    """A segment can't be read to its end. The message has its name."""


@dataclass(slots=True, eq=False)
class Segment:
    """The items at positions `first` to `end` - 1, in the order of their arrival."""

    folder: Path
    endpoint: str
    first: int
    end: int
    size: int
    """Bytes on the disk."""
    received_at: int
    """When its first item came, microseconds since the epoch."""
    is_closed: bool
    is_packed: bool
    is_uploaded: bool = False

    @property
    def plain(self) -> Path:
        return self.folder / f"{self.first:020}-{self.endpoint}.jsonl"

    @property
    def packed(self) -> Path:
        return self.folder / f"{self.first:020}-{self.end - 1:020}-{self.endpoint}.jsonl.gz"

    @property
    def path(self) -> Path:
        return self.packed if self.is_packed else self.plain

    def open(self) -> BufferedIOBase:
        """For reading, while another thread may pack it."""
        if not self.is_packed:
            try:
                return self.plain.open("rb")
            except FileNotFoundError:
                pass  # It was packed just now.
        return gzip.open(self.packed)

    def pack(self) -> None:
        """Compresses a closed segment. A crash leaves the one file, the other or both."""
        if self.is_packed:
            return
        temporary = self.plain.with_suffix(".tmp")
        with self.plain.open("rb") as source, temporary.open("wb") as target:
            # Without name and time, so that the same items are the same bytes.
            with gzip.GzipFile("", "wb", 6, target, mtime=0) as compressing:
                shutil.copyfileobj(source, compressing, CHUNK)
            target.flush()
            os.fsync(target.fileno())
        temporary.rename(self.packed)
        self.size = self.packed.stat().st_size
        self.is_packed = True
        self.plain.unlink()

    def delete(self) -> None:
        self.path.unlink()


def found_segments(folder: Path) -> list[Segment]:
    """What a former process left, oldest first: all closed, torn ends cut off, empty ones deleted.

    One that can't be read is set aside.
    """
    for temporary in folder.glob("*.tmp"):
        temporary.unlink()
    found = [_found(path) for path in sorted(folder.glob("*.jsonl*"))]
    return [segment for segment in found if segment]


def set_aside(path: Path, reason: str) -> None:
    """As *.corrupt: for a person to look at."""
    corrupt = path.rename(path.with_name(f"{path.name}.corrupt"))
    log.error("segment set aside file=%s reason=%r", corrupt, reason)


def _found(path: Path) -> Segment | None:
    """Nothing where there is nothing to read, or another file has the same."""
    packed, plain = PACKED.fullmatch(path.name), PLAIN.fullmatch(path.name)
    try:
        if packed:
            endpoint = packed["endpoint"]
            first, end = int(packed["first"]), int(packed["last"]) + 1
            with gzip.open(path) as file:
                received_at = _received_at(file.readline())
        elif plain:
            endpoint, first = plain["endpoint"], int(plain["first"])
            lines = _cut_to_whole_lines(path)
            if not lines or any(path.parent.glob(f"{first:020}-*-{endpoint}.jsonl.gz")):
                path.unlink()
                return None
            end = first + lines
            with path.open("rb") as file:
                received_at = _received_at(file.readline())
        else:
            return None
    except (OSError, EOFError, zlib.error, ValueError, LookupError, TypeError) as error:
        set_aside(path, str(error))
        return None
    size = path.stat().st_size
    return Segment(path.parent, endpoint, first, end, size, received_at, True, packed is not None)


def _received_at(line: bytes) -> int:
    return int(json.loads(line)["received_at"])


def _cut_to_whole_lines(path: Path) -> int:
    """How many lines are left: the last ones that are no items, as a crash leaves them, go."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    while end and not _is_item(content[content.rfind(b"\n", 0, end - 1) + 1 : end]):
        end = content.rfind(b"\n", 0, end - 1) + 1
    if end < len(content):
        os.truncate(path, end)
    return content.count(b"\n", 0, end)


def _is_item(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
