"""Duplicates that came on two connections during a rotation."""

import itertools
from dataclasses import replace

from exchanges.exchange import Received
from extractors.receive.notices import Ended, Frame, Opening

REMEMBERED = 300
"""Sequences of each symbol: fifteen seconds of the fastest that an exchange sends, on two connections.

A connection that lags is read for up to ten seconds after its successor has taken over.
"""

LATEST_REPEAT = 60_000_000
"""Microseconds after a connection's end for which its successor may lag behind it."""


class Duplicates:
    """Discards what another connection of the same handover chain brought already.

    Symbol and sequence identify a ticker. What one connection brings twice is kept, and so is what a
    connection repeats after an interruption: raw is what was received.

    Outside a rotation only the last sequence of each symbol is remembered: a successor begins with
    the exchange's latest ticker of each symbol.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        """Sequence and connection of each symbol's last ticker."""
        self._brought_by: dict[str, dict[int, int]] = {}
        """By symbol and sequence, the connection that was the first; filled during a rotation."""
        self._others: dict[int, set[int]] = {}
        """For each open connection, the others in its handover chain."""
        self._rotation_ends = 0

    def opening(self, notice: Opening) -> None:
        if not self._is_rotating(notice.at):
            self._brought_by = {symbol: dict([last]) for symbol, last in self._last.items()}
        chain = {*self._others, *itertools.chain(*self._others.values())}
        for others in self._others.values():
            others.add(notice.connection)
        self._others[notice.connection] = chain

    def ended(self, notice: Ended) -> None:
        del self._others[notice.connection]
        self._rotation_ends = notice.at + LATEST_REPEAT

    def without(self, frame: Frame) -> Frame:
        """Return the frame with the tickers that its connection was the first to bring."""
        if not self._is_rotating(frame.at):
            self._brought_by.clear()
            for each in frame.raw_data:
                if each.sequence is not None:
                    self._last[each.symbol] = each.sequence, frame.connection
            return frame
        first = [each for each in frame.raw_data if self._is_first(each, frame.connection)]
        return frame if len(first) == len(frame.raw_data) else replace(frame, raw_data=first)

    def _is_rotating(self, now: int) -> bool:
        return len(self._others) > 1 or now < self._rotation_ends

    def _is_first(self, raw_data: Received, connection: int) -> bool:
        if raw_data.sequence is None:
            return True
        brought_by = self._brought_by.setdefault(raw_data.symbol, {})
        if brought_by.get(raw_data.sequence) in self._others[connection]:
            return False
        brought_by[raw_data.sequence] = connection
        self._last[raw_data.symbol] = raw_data.sequence, connection
        if len(brought_by) > REMEMBERED:
            del brought_by[next(iter(brought_by))]
        return True
