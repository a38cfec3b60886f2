"""What a query writes to, one batch at a time, each whole or not begun."""

import threading
from abc import ABC, abstractmethod

from pyspark.sql import DataFrame


class Sink(ABC):
    """For foreachBatch, which calls `write`; `stop` may be called from another thread."""

    def __init__(self) -> None:
        self._idle = threading.Lock()
        self._stopped = False

    def write(self, batch: DataFrame, batch_id: int) -> None:
        """After `stop` it does nothing."""
        with self._idle:
            if not self._stopped:
                self._write_batch(batch)

    def stop(self) -> None:
        """Returns when no batch is being written; none will begin."""
        with self._idle:
            self._stopped = True

    @abstractmethod
    def _write_batch(self, batch: DataFrame) -> None: ...
