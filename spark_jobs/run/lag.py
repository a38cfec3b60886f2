"""Compute how far a query lags behind Kafka, in messages and in seconds. Pure."""

from collections import deque
from typing import NamedTuple

from spark_jobs.kafka_source.offsets import PartitionOffsets


class Lag(NamedTuple):
    messages: int
    seconds: float


class LagClock:
    """Clock that stores when each end of the topics was first seen, because offsets have no time.

    Exact to the time between two batches. Messages from before the first batch count from that batch.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, PartitionOffsets]] = deque()

    def after_batch(self, now: float, reached: PartitionOffsets, end: PartitionOffsets) -> Lag:
        """Return the lag after a batch, given the topics' ends when it began. `now` is in seconds."""
        if not self._ends or self._ends[-1][1] != end:
            self._ends.append((now, end))
        while self._ends and _behind(reached, self._ends[0][1]) == 0:
            self._ends.popleft()
        seconds = now - self._ends[0][0] if self._ends else 0.0
        return Lag(_behind(reached, end), seconds)


def _behind(reached: PartitionOffsets, end: PartitionOffsets) -> int:
    """Return the number of messages between the offsets."""
    return sum(
        max(0, offset - reached[topic][partition])
        for topic, partitions in end.items()
        for partition, offset in partitions.items()
    )
