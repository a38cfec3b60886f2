"""Raw data that came on two connections while one took over from the other."""

import itertools
from collections import defaultdict
from dataclasses import replace

from extractors.feed import RawData
from extractors.notices import Ended, Frame, Opening

REMEMBERED = 100
"""Sequences of each symbol: ten seconds of the fastest that an exchange sends."""


class Doubles:
    """Leaves out what another connection brought already, if one took over from the other.

    Symbol and sequence tell what is the same. What one connection brings twice is kept, and so is
    what a connection after an interruption repeats: raw is what was received.
    """

    def __init__(self) -> None:
        self._brought_by: defaultdict[str, dict[int, int]] = defaultdict(dict)
        # Of each that stands: those in the unbroken chain that it belongs to.
        self._others: dict[int, set[int]] = {}

    def opening(self, notice: Opening) -> None:
        chain = {*self._others, *itertools.chain(*self._others.values())}
        for others in self._others.values():
            others.add(notice.connection)
        self._others[notice.connection] = chain

    def ended(self, notice: Ended) -> None:
        del self._others[notice.connection]

    def without(self, frame: Frame) -> Frame:
        """The frame with what its connection was the first to bring."""
        first = [each for each in frame.raw_data if self._is_first(each, frame.connection)]
        return frame if len(first) == len(frame.raw_data) else replace(frame, raw_data=first)

    def _is_first(self, raw_data: RawData, connection: int) -> bool:
        if raw_data.sequence is None:
            return True
        brought_by = self._brought_by[raw_data.symbol]
        if brought_by.get(raw_data.sequence) in self._others[connection]:
            return False
        brought_by[raw_data.sequence] = connection
        if len(brought_by) > REMEMBERED:
            del brought_by[next(iter(brought_by))]
        return True
