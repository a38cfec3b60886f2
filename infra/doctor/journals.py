"""Check the extractors' journals: size against the limit, age of the oldest item, and files set aside.

The files are only read: an extractor may be writing to them.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from core.message import received_at_of
from core.settings import Settings
from exchanges import EXCHANGE
from extractors.journal.segment import PACKED, PLAIN, UNREADABLE, Segment
from infra.doctor.finding import Finding

LARGEST_SHARE = 0.5
"""Largest share of JOURNAL_LIMIT_BYTES that is accepted."""

OLDEST = 600.0
"""Maximum age of the oldest item, in seconds. A segment is uploaded within minutes and then deleted."""


def journals(settings: Settings, oldest: float = OLDEST) -> Iterator[Finding]:
    for exchange in EXCHANGE:
        folder = Path(settings.journal_dir) / exchange
        paths = [each for each in sorted(folder.glob("*.jsonl*")) if _is_segment(each)]
        size = sum(map(_size, paths))
        if size > LARGEST_SHARE * settings.journal_limit_bytes:
            yield Finding(
                f"the journal {folder} has {size} bytes of {settings.journal_limit_bytes}; when it is full, "
                "items are lost",
                "bring back Kafka and the object store, or raise JOURNAL_LIMIT_BYTES",
            )
        age = time.time() - min(map(_received_at, paths), default=time.time())
        if age > oldest:
            yield Finding(
                f"the oldest item of the journal {folder} is {age:.0f} s old: Kafka or landing/ lacks it",
                f"see whether the extractor {exchange} runs (make status), and its log",
            )
        if corrupt := [*folder.glob("*.corrupt")]:
            yield Finding(
                f"{len(corrupt)} segment(s) of {folder} could not be read and were set aside, such as "
                f"{corrupt[0].name}",
                "check the disk; keep the files for inspection, or delete them",
            )


def _is_segment(path: Path) -> bool:
    return bool(PLAIN.fullmatch(path.name) or PACKED.fullmatch(path.name))


def _size(path: Path) -> int:
    """Return the bytes of a segment; 0 if it has just been deleted."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _received_at(path: Path) -> float:
    """Return when the first item of a segment was received; now if it has none or can't be read."""
    try:
        with Segment(path, "", 0, 0, 0).open() as file:
            return received_at_of(file.readline()) / 1e6
    except UNREADABLE:
        return time.time()
