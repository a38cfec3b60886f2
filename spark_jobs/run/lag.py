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

    Exact to the time between two batches. What lay in Kafka before the first counts from that one.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, TopicOffsets]] = deque()

    def after_batch(self, now: float, reached: TopicOffsets, end: TopicOffsets) -> Lag:
        """A batch reached these offsets; the topics' ends were these when it began. `now` in seconds."""
        if not self._ends or self._ends[-1][1] != end:
            self._ends.append((now, end))
        while self._ends and _behind(reached, self._ends[0][1]) == 0:
            self._ends.popleft()
        seconds = now - self._ends[0][0] if self._ends else 0.0
        return Lag(_behind(reached, end), seconds)


def _behind(reached: TopicOffsets, end: TopicOffsets) -> int:
    """How many messages lie between them."""
    return sum(
        max(0, offset - reached[topic][partition])
        for topic, partitions in end.items()
        for partition, offset in partitions.items()
    )
