"""Collect lines of the journal into batches."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from core.message import received_at_of
from extractors.journal.reader import Line

SYMBOL_LIMIT = 100
"""Number of items of one symbol at which a batch is ready."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines of one endpoint in order of arrival; never empty."""

    lines: Sequence[Line]

    @property
    def endpoint(self) -> str:
        return self.lines[0].endpoint

    @property
    def received_at(self) -> int:
        """Time of receipt of the oldest item, in microseconds since the epoch."""
        return received_at_of(self.lines[0].text)

    @property
    def end(self) -> int:
        """Position in the journal after the last line."""
        return self.lines[-1].position + 1

    def by_partition(self, partition_of: Callable[[str, int], int]) -> dict[int, list[Line]]:
        """Return the lines of each partition, in order. `partition_of` takes symbol and position."""
        lines: defaultdict[int, list[Line]] = defaultdict(list)
        for line in self.lines:
            lines[partition_of(line.symbol, line.position)].append(line)
        return lines


class Batcher:
    """Buffer of lines. When it is ready, all of it becomes a batch.

    It is ready when a symbol has SYMBOL_LIMIT lines, when the first line was added `age_limit` seconds
    ago, or when the next line has another endpoint. `now` is a monotonic clock in seconds.
    """

    def __init__(self, age_limit: float) -> None:
        self._age_limit = age_limit
        self._lines: list[Line] = []
        self._count_of_symbol: Counter[str] = Counter()
        self._ready_at = inf

    def add(self, lines: Iterable[Line], now: float) -> list[Batch]:
        """Add lines. Return the batches that are ready now, the oldest first."""
        batches: list[Batch] = []
        for line in lines:
            if self._lines and line.endpoint != self._lines[0].endpoint:
                batches += self.flush()
            if not self._lines:
                self._ready_at = now + self._age_limit
            self._lines.append(line)
            self._count_of_symbol[line.symbol] += 1
            if self._count_of_symbol[line.symbol] >= SYMBOL_LIMIT:
                batches += self.flush()
        return batches + self.ready(now)

    @property
    def received_at(self) -> int | None:
        """Time of receipt of the oldest buffered item, in microseconds since the epoch. Thread-safe."""
        lines = self._lines
        return received_at_of(lines[0].text) if lines else None

    def ready(self, now: float) -> list[Batch]:
        """Return the buffer as a batch if it is old enough, else nothing."""
        return self.flush() if now >= self._ready_at else []

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the buffer is old enough; infinity while it is empty."""
        return max(0.0, self._ready_at - now)

    def flush(self) -> list[Batch]:
        """Return the buffer as a batch, ready or not; nothing if it is empty."""
        if not self._lines:
            return []
        batch = Batch(self._lines)
        self._lines = []
        self._count_of_symbol.clear()
        self._ready_at = inf
        return [batch]
