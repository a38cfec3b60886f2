"""Continuity of a feed as messages of topic `feed_events`: what was connected, where gaps may be.

Three kinds, with times in microseconds since the epoch:

    connection    from the opened WebSocket to its end; frames that it brought
    interruption  from the last ticker to the next one: nothing is known of the time between
    rotation      from the successor's first ticker to its predecessor's end; frames that came on both

`reason` says why a connection ended, why an interruption began, why a rotation took place. An
interruption names the exchange's last refusal, too. What is still going on is published without `to`,
and again when it is over. The first interruption begins with the process: an earlier process has
published what lies before it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from extractors.receive.notices import Ended, Frame, Opened


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event. `start` and `end` are `from` and `to`, words that Python keeps for itself."""

    exchange: str
    endpoint: str | None
    kind: str
    reason: str | None
    start: int
    end: int | None = None
    frames: int = 0

    def __str__(self) -> str:
        """For the log."""
        seconds = "" if self.end is None else f" lasted={(self.end - self.start) / 1e6:.1f}"
        return f"{self.kind} reason={self.reason!r}{seconds} frames={self.frames}"

    def message(self) -> dict[str, Any]:
        """As core.message has it."""
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
class _Standing:
    """A connection that stands."""

    event: FeedEvent
    first_ticker: int | None = None
    frames: int = 0
    doubled: int = 0


@dataclass(slots=True)
class FeedEvents:
    """Pure: notices in, events out."""

    exchange: str
    started_at: int
    _standing: dict[int, _Standing] = field(default_factory=dict, init=False)
    _interruption: FeedEvent | None = field(default=None, init=False)
    _why_interrupted: str = field(default="", init=False)
    _last_ticker: int = field(default=0, init=False)

    def start(self) -> list[FeedEvent]:
        """Nothing was received yet."""
        return self._interrupted("start", None, self.started_at)

    def opened(self, notice: Opened) -> list[FeedEvent]:
        event = FeedEvent(self.exchange, notice.endpoint, "connection", None, notice.at)
        self._standing[notice.connection] = _Standing(event)
        return [event]

    def frame(self, frame: Frame, doubled: bool) -> list[FeedEvent]:
        """`doubled`: something of the frame had come on another connection."""
        connection = self._standing[frame.connection]
        connection.frames += 1
        connection.doubled += doubled
        if not frame.has_ticker:
            return []
        self._last_ticker = frame.at
        connection.first_ticker = connection.first_ticker or frame.at
        if self._interruption is None:
            return []
        over = replace(self._interruption, endpoint=frame.endpoint, end=frame.at)
        self._interruption = None
        return [over]

    def ended(self, notice: Ended) -> list[FeedEvent]:
        """Return nothing for an attempt that never opened, unless the exchange gave a reason."""
        if notice.connection not in self._standing:
            return self._refused(notice)
        ended = self._standing.pop(notice.connection)
        connection = replace(ended.event, reason=notice.reason, end=notice.at, frames=ended.frames)
        if ended.first_ticker is None:
            return [connection]
        flowing = {n: each for n, each in self._standing.items() if each.first_ticker is not None}
        if not flowing:
            return [
                connection,
                *self._interrupted(notice.reason, connection.endpoint, self._last_ticker),
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

    def _rotated(self, notice: Ended, ended: _Standing, successor: _Standing) -> FeedEvent:
        doubled, successor.doubled = ended.doubled + successor.doubled, 0
        return FeedEvent(
            self.exchange,
            successor.event.endpoint,
            "rotation",
            notice.reason,
            successor.first_ticker or notice.at,
            notice.at,
            doubled,
        )

    def _interrupted(self, reason: str, endpoint: str | None, start: int) -> list[FeedEvent]:
        self._why_interrupted = reason
        self._interruption = FeedEvent(self.exchange, endpoint, "interruption", reason, start)
        return [self._interruption]
