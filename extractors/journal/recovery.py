"""Find the segments that a previous process left in a journal's folder."""

import gzip
import os
import re
from pathlib import Path

from core.message import received_at_of
from exchanges.json_text import load_json
from extractors.journal.segment import PACKED, PLAIN, UNREADABLE, Segment, is_shortage, set_aside


def found_segments(folder: Path) -> list[Segment]:
    """Return every segment of a folder, marked as closed, oldest first.

    Torn ends are truncated, empty segments deleted, corrupt ones set aside. Raise OSError.
    """
    for temporary in folder.glob("*.tmp"):
        temporary.unlink()
    found = [_recover_segment(path) for path in sorted(folder.glob("*.jsonl*"))]
    return [segment for segment in found if segment]


def _recover_segment(path: Path) -> Segment | None:
    """Repair a file, and return its segment.

    Return None if it has no item and is deleted, if it is corrupt and set aside, or if it is no segment.
    """
    try:
        if name := PACKED.fullmatch(path.name):
            return _packed(path, name)
        return _plain(path, name) if (name := PLAIN.fullmatch(path.name)) else None
    except UNREADABLE as error:
        if is_shortage(error):
            raise
        set_aside(path, error)
        return None


def _packed(path: Path, name: re.Match[str]) -> Segment:
    with gzip.open(path) as file:
        received_at = received_at_of(file.readline())
    first, end = int(name["first"]), int(name["last"]) + 1
    size = path.stat().st_size
    return Segment(path, name["endpoint"], first, end, received_at, size, is_closed=True)


def _plain(path: Path, name: re.Match[str]) -> Segment | None:
    # Version 0.1.0 could crash between writing the compressed file and deleting this one.
    was_packed = any(path.parent.glob(f"{name['first']}-*-{name['endpoint']}.jsonl.gz"))
    lines = 0 if was_packed else _cut_to_whole_lines(path)
    if not lines:
        path.unlink()
        return None
    with path.open("rb") as file:
        received_at = received_at_of(file.readline())
    first, size = int(name["first"]), path.stat().st_size
    return Segment(path, name["endpoint"], first, first + lines, received_at, size, is_closed=True)


def _cut_to_whole_lines(path: Path) -> int:
    """Truncate lines at the end that are not items, as after a crash. Return the number of lines left."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    while end and not _is_item(content[content.rfind(b"\n", 0, end - 1) + 1 : end]):
        end = content.rfind(b"\n", 0, end - 1) + 1
    if end < len(content):
        os.truncate(path, end)
    return content.count(b"\n", 0, end)


def _is_item(line: bytes) -> bool:
    try:
        return isinstance(load_json(line), dict)
    except ValueError:
        return False
