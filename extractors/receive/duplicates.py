"""Discard the second copy of a ticker that two connections delivered during a rotation."""

import itertools
from dataclasses import replace

from exchanges.exchange import Received
from extractors.receive.notices import Ended, Frame, Opening

SEQUENCES_PER_SYMBOL = 300
"""Maximum sequences kept per symbol: those of an exchange's fastest symbol in 15 s, on two connections.

A connection that lags is read for up to 10 s after its successor has taken over.
"""

MAX_SUCCESSOR_LAG_US = 60_000_000
"""Maximum lag of a successor behind a connection that has ended, in microseconds."""


class Duplicates:
    """Filter for tickers that another connection of the same handover chain has already delivered.

    A chain is a run of connections, each of which was opened while its predecessor was open.

    Symbol and sequence identify a ticker. A ticker that one connection repeats is kept, and so is one
    that is repeated after an interruption: raw data is everything that was received.

    Outside a rotation only the last sequence of each symbol is remembered: a successor begins with
    the exchange's latest ticker of each symbol.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}
        """Sequence and connection of each symbol's last ticker."""
        self._first_connections: dict[str, dict[int, int]] = {}
        """By symbol and sequence, the first connection that delivered it; filled during a rotation."""
        self._others: dict[int, set[int]] = {}
        """For each open connection, the others in its handover chain, including those that have ended."""
        self._rotation_ends = 0

    def opening(self, notice: Opening) -> None:
        if not self._is_rotating(notice.at):
            self._first_connections = {symbol: dict([last]) for symbol, last in self._last.items()}
        chain = {*self._others, *itertools.chain(*self._others.values())}
        for others in self._others.values():
            others.add(notice.connection)
        self._others[notice.connection] = chain

    def ended(self, notice: Ended) -> None:
        del self._others[notice.connection]
        self._rotation_ends = notice.at + MAX_SUCCESSOR_LAG_US

    def without(self, frame: Frame) -> Frame:
        """Return the frame without the tickers that another connection delivered first."""
        if not self._is_rotating(frame.at):
            self._first_connections.clear()
            for each in frame.raw_data:
                if each.sequence is not None:
                    self._last[each.symbol] = each.sequence, frame.connection
            return frame
        first = [each for each in frame.raw_data if self._keep(each, frame.connection)]
        return frame if len(first) == len(frame.raw_data) else replace(frame, raw_data=first)

    def _is_rotating(self, now: int) -> bool:
        return len(self._others) > 1 or now < self._rotation_ends

    def _keep(self, ticker: Received, connection: int) -> bool:
        """Return whether to keep the ticker, and record which connection delivered it first."""
        if ticker.sequence is None:
            return True
        first_connections = self._first_connections.setdefault(ticker.symbol, {})
        if first_connections.get(ticker.sequence) in self._others[connection]:
            return False
        first_connections[ticker.sequence] = connection
        self._last[ticker.symbol] = ticker.sequence, connection
        if len(first_connections) > SEQUENCES_PER_SYMBOL:
            del first_connections[next(iter(first_connections))]
        return True
