"""Define what a query writes to: a sink, which writes each batch completely or not at all."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pyspark.sql import DataFrame

from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.tickers.reading import Reading, Share

Counts = Mapping[str, int]
"""Counts of a batch for its log line and the metrics, such as {"written": 1240, "refused": 3}."""


class Sink(ABC):
    """Base class of sinks. foreachBatch calls `write`; other threads may call the other methods."""

    query: ClassVar[str]
    """Name of the query that writes to this sink."""

    def __init__(self) -> None:
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._counts: dict[int, Counts] = {}

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """Write the batch, or skip it after `stop`.

        Spark marks a skipped batch as done, so its checkpoint is then ahead of the sink.
        """
        with self._writing:
            if not self._stopping.is_set():
                self._counts[batch_id] = self._write_batch(batch)

    def counts(self, batch_id: int) -> Counts:
        """Return the counts of a written batch, and delete them; empty for a skipped batch."""
        return self._counts.pop(batch_id, {})

    @abstractmethod
    def progress(self) -> Offsets:
        """Return the next offset of every partition that was written."""

    def newest(self) -> Mapping[str, datetime]:
        """Return the newest price's time of receipt, by exchange; empty for sinks without prices."""
        return {}

    def new_readings(self) -> Sequence[Reading]:
        """Return the readings of the batches since the last call; empty for sinks without prices."""
        return ()

    def unreadable(self) -> Mapping[str, Share]:
        """Return the unreadable share of the last minute's items, by exchange; empty without prices."""
        return {}

    def report_to(self, metrics: JobMetrics) -> None:  # noqa: B027
        """Start to report what `counts` lacks, such as failed attempts and sizes."""

    def stop_soon(self) -> None:
        """Skip all further batches."""
        self._stopping.set()

    def stop(self) -> None:
        """Skip all further batches, and wait for the one that is being written."""
        self.stop_soon()
        with self._writing:
            pass

    @abstractmethod
    def _write_batch(self, batch: DataFrame) -> Counts: ...
