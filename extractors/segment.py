"""One file of a journal: JSON lines, a line an item, all from one endpoint.

    00000000000000001000-stream.binance.com.jsonl                            as it is written
    00000000000000000000-00000000000000000999-stream.binance.com.jsonl.gz    closed and compressed

The numbers are the positions of the first and the last item.
"""

import gzip
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
    """A segment ends too early."""


UNREADABLE = (
    *(OSError, EOFError, zlib.error),
    *(ValueError, LookupError, TypeError),
    CorruptSegmentError,
)
"""What reading a segment raises that the disk has spoilt."""


@dataclass(slots=True, eq=False)
class Segment:
    """The items at positions `first` to `end` - 1, in the order of their arrival.

    The journal that holds it is the only one to change it.
    """

    folder: Path
    endpoint: str
    first: int
    end: int
    received_at: int
    """When its first item came, microseconds since the epoch."""
    size: int = 0
    """Bytes on the disk."""
    is_closed: bool = False
    is_packed: bool = False
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

    def set_aside(self, reason: object) -> None:
        """As *.corrupt: for a person to look at."""
        try:
            set_aside(self.path, reason)
        except FileNotFoundError:
            # It was packed just now.
            set_aside(self.packed, reason)


def set_aside(path: Path, reason: object) -> None:
    corrupt = path.rename(path.with_name(f"{path.name}.corrupt"))
    log.error("segment set aside file=%s reason=%r", corrupt, str(reason))
