"""Derive the messages of topic `feed_events` from notices: connections, and where gaps may be.

There are three kinds, with times in microseconds since the epoch:

    connection    from the opened WebSocket to its end; frames received on it
    interruption  from the last ticker to the next one: tickers between them may be missing
    rotation      from the successor's first ticker to its predecessor's end; frames received on both

`reason` says why a connection ended, an interruption began or a rotation took place. That of an
interruption includes the exchange's last refusal. An ongoing connection or interruption is published with
`to` null, and again when it ends; a rotation once. The first interruption begins with the process. An
earlier process has published its own if it stopped in order; after a kill, none covers the time before the
start. No event ends before its start, even if the clock is set back.

Two tickers further apart than the silence limit have an interruption between them too, though no connection
ended: the clock was set forward, the process was paused, or a full backlog held up the reading. It is
published once, with its end.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from extractors.receive.notices import Ended, Frame, Opened


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event. `start` and `end` are `from` and `to` in the message: `from` is a keyword of Python."""

    exchange: str
    endpoint: str | None
    kind: str
    reason: str | None
    start: int
    end: int | None = None
    frames: int = 0

    def __str__(self) -> str:
        """Return the event as a line of the log."""
        seconds = "" if self.end is None else f" lasted={(self.end - self.start) / 1e6:.1f}"
        return f"{self.kind} reason={self.reason!r}{seconds} frames={self.frames}"

    def message(self) -> dict[str, Any]:
        """Return the message, in the format of core.message."""
        return {
            "exchange": self.exchange,
            "endpoint": self.endpoint,
            "kind": self.kind,
            "reason": self.reason,
            "from": self.start,
            "to": self.end,
            "frames": self.frames,
        }


@dataclass(slots=True)
class _OpenConnection:
    """State of an open connection."""

    event: FeedEvent
    first_ticker: int | None = None
    frames: int = 0
    doubled: int = 0


@dataclass(slots=True)
class FeedEvents:
    """State of a feed: notices in, events out, no I/O."""

    exchange: str
    started_at: int
    silence_limit: float
    """Maximum seconds from one ticker to the next without an interruption."""

    _open_connections: dict[int, _OpenConnection] = field(default_factory=dict, init=False)
    _interruption: FeedEvent | None = field(default=None, init=False)
    _why_interrupted: str = field(default="", init=False)
    last_ticker: int = field(default=0, init=False)
    """Time of receipt of the last ticker, in microseconds since the epoch; 0 before the first one."""

    def start(self) -> list[FeedEvent]:
        """Return the interruption that begins with the process."""
        return self._interrupted("start", None, self.started_at)

    def opened(self, notice: Opened) -> list[FeedEvent]:
        event = FeedEvent(self.exchange, notice.endpoint, "connection", None, notice.at)
        if len(self._open_connections) == 1:
            # Frames doubled so far are not of a rotation to this connection.
            for predecessor in self._open_connections.values():
                predecessor.doubled = 0
        self._open_connections[notice.connection] = _OpenConnection(event)
        return [event]

    def frame(self, frame: Frame, doubled: bool) -> list[FeedEvent]:
        """Return the interruption that the frame ends, if any. `doubled`: it contained duplicates."""
        connection = self._open_connections[frame.connection]
        connection.frames += 1
        connection.doubled += doubled
        if not frame.has_ticker:
            return []
        before, self.last_ticker = self.last_ticker, frame.at
        connection.first_ticker = connection.first_ticker or frame.at
        if self._interruption is None:
            return self._unnoticed(before, frame)
        over = replace(self._interruption, endpoint=frame.endpoint)
        self._interruption = None
        return [_with_end(over, frame.at)]

    def _unnoticed(self, before: int, frame: Frame) -> list[FeedEvent]:
        """Return the interruption between two tickers of open connections, if they are far apart."""
        seconds = (frame.at - before) / 1e6
        if seconds <= self.silence_limit:
            return []
        reason = f"silence: no ticker for {seconds:.0f} s"
        return [FeedEvent(self.exchange, frame.endpoint, "interruption", reason, before, frame.at)]

    def ended(self, notice: Ended) -> list[FeedEvent]:
        """Return the events of a connection's end; none for a failed attempt, unless it was refused."""
        if notice.connection not in self._open_connections:
            return self._refused(notice)
        ended = self._open_connections.pop(notice.connection)
        connection = replace(ended.event, reason=notice.reason, frames=ended.frames)
        connection = _with_end(connection, notice.at)
        if ended.first_ticker is None:
            return [connection]
        flowing = {
            n: each for n, each in self._open_connections.items() if each.first_ticker is not None
        }
        if not flowing:
            return [
                connection,
                *self._interrupted(notice.reason, connection.endpoint, self.last_ticker),
            ]
        newest = max(flowing)
        if newest < notice.connection or len(flowing) > 1:
            return [connection]
        return [connection, self._rotated(notice, ended, flowing[newest])]

    def _refused(self, notice: Ended) -> list[FeedEvent]:
        if self._interruption is None or notice.cause != "refused":
            return []
        reason = f"{self._why_interrupted}; {notice.reason}"
        if reason == self._interruption.reason:
            return []
        self._interruption = replace(self._interruption, reason=reason)
        return [self._interruption]

    def _rotated(
        self, notice: Ended, ended: _OpenConnection, successor: _OpenConnection
    ) -> FeedEvent:
        doubled, successor.doubled = ended.doubled + successor.doubled, 0
        rotation = FeedEvent(
            self.exchange,
            successor.event.endpoint,
            "rotation",
            notice.reason,
            successor.first_ticker or notice.at,
            frames=doubled,
        )
        return _with_end(rotation, notice.at)

    def _interrupted(self, reason: str, endpoint: str | None, start: int) -> list[FeedEvent]:
        self._why_interrupted = reason
        self._interruption = FeedEvent(self.exchange, endpoint, "interruption", reason, start)
        return [self._interruption]


def _with_end(event: FeedEvent, at: int) -> FeedEvent:
    """Return the event with its end: `at`, or its start if the clock was set back meanwhile."""
    return replace(event, end=max(event.start, at))
