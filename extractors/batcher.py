"""When a batch is ready."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from core.message import Item, partition_of
from extractors.feed import RawData
from extractors.notices import Frame

SYMBOL_LIMIT = 100
"""Messages of one symbol that make a batch ready."""

AGE_LIMIT = 1.0
"""Seconds after its first message at which a batch is ready."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw data of one endpoint in the order of its arrival."""

    endpoint: str
    raw_data: Sequence[RawData]

    def by_partition(self, partitions: int) -> dict[int, list[Item]]:
        """The items of each partition. A symbol's items share a partition and keep their order."""
        items: defaultdict[int, list[Item]] = defaultdict(list)
        for raw_data in self.raw_data:
            items[partition_of(raw_data.symbol, partitions)].append(raw_data.item())
        return items


class Batcher:
    """Buffers raw data until a symbol has collected 100 messages or the first is a second old.

    Then the whole buffer goes. It goes earlier where the endpoint changes, so that a batch has
    one. `now` is a monotonic clock in seconds.
    """

    def __init__(self) -> None:
        self._endpoint = ""
        self._raw_data: list[RawData] = []
        self._collected: Counter[str] = Counter()
        self._ready_at = inf

    def add(self, frame: Frame, now: float) -> list[Batch]:
        """Takes a frame's raw data. Gives the batches that are ready now, the oldest first."""
        batches = self.flush() if frame.endpoint != self._endpoint else []
        if frame.raw_data and not self._raw_data:
            self._ready_at = now + AGE_LIMIT
        self._endpoint = frame.endpoint
        for raw_data in frame.raw_data:
            self._raw_data.append(raw_data)
            self._collected[raw_data.symbol] += 1
            if self._collected[raw_data.symbol] >= SYMBOL_LIMIT:
                self._ready_at = now
        return batches + self.ready(now)

    def ready(self, now: float) -> list[Batch]:
        """The buffer as a batch if it is ready, else nothing."""
        return self.flush() if now >= self._ready_at else []

    def seconds_left(self, now: float) -> float:
        """Until the buffer is ready; infinite while it is empty."""
        return max(0.0, self._ready_at - now)

    def flush(self) -> list[Batch]:
        """The buffer as a batch, ready or not; nothing if it is empty."""
        if not self._raw_data:
            return []
        batch = Batch(self._endpoint, self._raw_data)
        self._raw_data = []
        self._collected.clear()
        self._ready_at = inf
        return [batch]
