"""Define a segment, one file of a journal: JSON lines, one item per line, all from one endpoint.

    00000000000000001000-stream.binance.com.jsonl

The number is the position of the first item. Version 0.1.0 compressed closed segments. They are still
read; their names also contain the position of the last item:

    00000000000000000000-00000000000000000999-stream.binance.com.jsonl.gz
"""

import errno
import gzip
import logging
import re
import zlib
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

log = logging.getLogger(__name__)

PLAIN = re.compile(r"(?P<first>\d{20})-(?P<endpoint>.+)\.jsonl")
PACKED = re.compile(r"(?P<first>\d{20})-(?P<last>\d{20})-(?P<endpoint>.+)\.jsonl\.gz")

CHUNK = 1_000_000
"""Bytes per read."""

COMPRESSION_LEVEL = 6
"""Level of gzip. It compresses 6.6 : 1 at 11 ms of CPU per MB; level 3, 5.9 : 1 at 5 ms."""


class CorruptSegmentError(Exception):
    """A segment ends too early."""


UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    CorruptSegmentError,
)
"""Errors after which a segment is set aside. OSError includes failures of the disk and missing rights."""

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def is_shortage(error: Exception) -> bool:
    """Return whether file descriptors or memory were lacking: the segment may be healthy."""
    return isinstance(error, OSError) and error.errno in SHORTAGES


@dataclass(slots=True, eq=False)
class Segment:
    """The items at positions `first` to `end` - 1, in order of arrival.

    Only its journal changes it, except `is_uploaded`, which the uploader sets.
    """

    path: Path
    endpoint: str
    first: int
    end: int
    received_at: int
    """Time of receipt of the first item, in microseconds since the epoch."""
    size: int = 0
    """Bytes on disk."""
    is_closed: bool = False
    is_uploaded: bool = False

    @property
    def _is_packed(self) -> bool:
        return self.path.suffix == ".gz"

    def open(self) -> BufferedIOBase:
        return gzip.open(self.path) if self._is_packed else self.path.open("rb")

    def compressed(self) -> bytes:
        """Return the lines as gzip: always the same bytes for the same items. Raise OSError."""
        content = self.path.read_bytes()
        return content if self._is_packed else gzip.compress(content, COMPRESSION_LEVEL, mtime=0)


def set_aside(path: Path, reason: object) -> None:
    """Rename a file to *.corrupt, for manual inspection. Log it, also if that fails."""
    try:
        corrupt = path.rename(path.with_name(f"{path.name}.corrupt"))
    except OSError as error:
        log.error("segment lost file=%s reason=%r not_renamed=%r", path, str(reason), str(error))
    else:
        log.error("segment set aside file=%s reason=%r", corrupt, str(reason))
