"""Find gaps and overlaps in the ranges of offsets that the names of the archive's objects state."""

from collections.abc import Hashable, Iterable
from typing import TypeVar

Range = tuple[int, int]
"""First and last offset, both included."""

Span = tuple[int, int]
"""First offset, and the one after the last."""

Holder = TypeVar("Holder", bound=Hashable)


def gaps(ranges: Iterable[Range], end: int) -> list[Span]:
    """Return the gaps from the lowest offset of the ranges up to, not including, `end`."""
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


def start_without_gaps(ranges: Iterable[Range], end: int) -> int:
    """Return the lowest offset from which no offset before `end` is missing; `end` if there is none."""
    known = sorted(ranges)
    missing = gaps(known, end)
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
