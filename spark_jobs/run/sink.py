"""What a query writes to, one batch at a time, each whole or not begun."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pyspark.sql import DataFrame

from spark_jobs.run.metrics import JobMetrics
from spark_jobs.tickers.reading import Reading, Share

# What a batch did, for its line in the log: {"written": 1240, "refused": 3}.
Counts = Mapping[str, int]


class Sink(ABC):
    """For foreachBatch, which calls `write`; the rest may be called from other threads."""

    query: ClassVar[str]
    """The name of the query that writes to it."""

    def __init__(self) -> None:
        self._idle = threading.Lock()
        self._stopping = threading.Event()
        self._counts: dict[int, Counts] = {}

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Write the batch; do nothing after `stop`. Spark's checkpoint is then ahead of what was written."""
        with self._idle:
            if not self._stopping.is_set():
                self._counts[batch_id] = self._write_batch(batch)

    def counts(self, batch_id: int) -> Counts:
        """Return the counts of a batch that was written, once."""
        return self._counts.pop(batch_id, {})

    def newest(self) -> Mapping[str, datetime]:
        """By exchange, when the newest price that was read was received; empty for other sinks."""
        return {}

    def new_readings(self) -> Sequence[Reading]:
        """What became of the items of each batch since the last call; empty for other sinks."""
        return ()

    def unreadable(self) -> Mapping[str, Share]:
        """By exchange, how much of the last minute could not be read; empty for other sinks."""
        return {}

    def report_to(self, metrics: JobMetrics) -> None:  # noqa: B027
        """Start to report what changes without a batch, such as sizes; nothing for most sinks."""

    def stop_soon(self) -> None:
        """Let no further batch begin."""
        self._stopping.set()

    def stop(self) -> None:
        """Let no further batch begin, and wait for the one that is being written."""
        self.stop_soon()
        with self._idle:
            pass

    @abstractmethod
    def _write_batch(self, batch: DataFrame) -> Counts: ...
