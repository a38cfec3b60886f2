"""Report bytes and objects below each prefix of the bucket to Prometheus."""

import logging
import threading
import time
from collections.abc import Iterable

from py4j.protocol import Py4JError

from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.run.metrics import JobMetrics

log = logging.getLogger(__name__)

INTERVAL = 300.0
"""Seconds between two reports."""


class LakeSizes(threading.Thread):
    """Thread that reports the sizes every five minutes until the process ends. Errors are logged."""

    def __init__(
        self, storage: HadoopFiles, root: str, prefixes: Iterable[str], metrics: JobMetrics
    ) -> None:
        super().__init__(name="lake_sizes", daemon=True)
        self._storage = storage
        self._root = root
        self._prefixes = tuple(prefixes)
        self._metrics = metrics

    def run(self) -> None:
        while True:
            self.report()
            time.sleep(INTERVAL)

    def report(self) -> None:
        for prefix in self._prefixes:
            folder = f"{self._root}/{prefix}"
            try:
                usage = self._storage.usage(folder)
            except Py4JError as error:
                reason = str(getattr(error, "java_exception", error))
                log.warning("size unavailable folder=%s reason=%r", folder, reason)
            else:
                self._metrics.prefix(prefix, usage.bytes, usage.files)
