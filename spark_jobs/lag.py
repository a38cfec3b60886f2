"""How far a query is behind Kafka, in messages and in seconds. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

# As Spark writes offsets: topic -> partition -> the next one.
TopicOffsets = Mapping[str, Mapping[str, int]]


class Lag(NamedTuple):
    messages: int
    seconds: float


class LagClock:
    """Kafka's offsets have no time; so it keeps when it heard of each end of the topics.

    Exact to the time between two batches.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()

    def after_batch(self, now: float, reached: TopicOffsets, end: TopicOffsets) -> Lag:
        """A batch reached these offsets; the topics' ends were these when it began, at `now` seconds."""
        read, written = _sum(reached), _sum(end)
        if not self._ends or self._ends[-1][1] < written:
            self._ends.append((now, written))
        while self._ends and self._ends[0][1] <= read:
            self._ends.popleft()
        seconds = now - self._ends[0][0] if self._ends else 0.0
        return Lag(max(0, written - read), seconds)


def _sum(offsets: TopicOffsets) -> int:
    return sum(sum(partitions.values()) for partitions in offsets.values())
