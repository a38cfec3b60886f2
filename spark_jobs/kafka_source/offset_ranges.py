"""Ranges of offsets, as the names of the archive's objects state them: gaps and overlaps."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

# First and last offset, both included.
Range = tuple[int, int]

# The first offset and the one after the last.
Span = tuple[int, int]

Holder = TypeVar("Holder", bound=Hashable)


def holes(ranges: Iterable[Range], end: int) -> list[Span]:
    """Return what no range has, from the first offset of the ranges up to, not including, `end`."""
    found: list[Span] = []
    reached: int | None = None
    for first, last in sorted(ranges):
        if first >= end:
            break
        if reached is not None and first > reached:
            found.append((reached, first))
        reached = max(reached or 0, last + 1)
    if reached is not None and reached < end:
        found.append((reached, end))
    return found


def unbroken_from(ranges: Iterable[Range], end: int) -> int:
    """Return the lowest offset from which on the ranges have all below `end`; `end` if they lack the last."""
    known = sorted(ranges)
    missing = holes(known, end)
    if missing:
        return missing[-1][1]
    return min(known[0][0], end) if known else end


def overlapping(ranges: Iterable[tuple[Range, Holder]]) -> set[Holder]:
    """Return the holders of ranges that have an offset in common."""
    found: set[Holder] = set()
    reached, holder_of_it = -1, None
    for (first, last), holder in sorted(ranges, key=lambda each: each[0]):
        if first <= reached and holder_of_it is not None:
            found |= {holder, holder_of_it}
        if last > reached:
            reached, holder_of_it = last, holder
    return found
