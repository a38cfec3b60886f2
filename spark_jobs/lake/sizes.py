"""Report bytes and objects below each prefix of the bucket to Prometheus."""

import logging
import threading
import time
from collections.abc import Iterable

from py4j.protocol import Py4JJavaError

from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.run.metrics import JobMetrics

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0


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
            self.look()
            time.sleep(EVERY_SECONDS)

    def look(self) -> None:
        try:
            for prefix in self._prefixes:
                usage = self._storage.usage(f"{self._root}/{prefix}")
                self._metrics.prefix(prefix, usage.bytes, usage.files)
        except Py4JJavaError as error:
            log.warning(
                "sizes unavailable root=%s reason=%r", self._root, str(error.java_exception)
            )
