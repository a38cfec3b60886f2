"""Find the segments that a previous process left in a journal's folder."""

import gzip
import os
import re
from pathlib import Path

from exchanges.json_text import load_json
from extractors.journal.segment import PACKED, PLAIN, UNREADABLE, Segment, set_aside


def found_segments(folder: Path) -> list[Segment]:
    """Return the segments of a folder, all closed, oldest first.

    Torn ends are truncated, empty segments deleted, corrupt ones set aside.
    """
    for temporary in folder.glob("*.tmp"):
        temporary.unlink()
    found = [_read_segment(path) for path in sorted(folder.glob("*.jsonl*"))]
    return [segment for segment in found if segment]


def _read_segment(path: Path) -> Segment | None:
    """Return the segment of a file; None if the file is empty, corrupt or not a segment."""
    try:
        if name := PACKED.fullmatch(path.name):
            return _packed(path, name)
        return _plain(path, name) if (name := PLAIN.fullmatch(path.name)) else None
    except UNREADABLE as error:
        set_aside(path, error)
        return None


def _packed(path: Path, name: re.Match[str]) -> Segment:
    with gzip.open(path) as file:
        received_at = _received_at(file.readline())
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
        received_at = _received_at(file.readline())
    first, size = int(name["first"]), path.stat().st_size
    return Segment(path, name["endpoint"], first, first + lines, received_at, size, is_closed=True)


def _received_at(line: bytes) -> int:
    item = load_json(line)
    if not isinstance(item, dict):
        raise ValueError("the first line is not an item")
    return int(item["received_at"])


def _cut_to_whole_lines(path: Path) -> int:
    """Truncate lines at the end that are not items, as after a crash. Return the lines left."""
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
