"""How much lies below each prefix of the bucket, for Prometheus."""

import logging
import threading
import time
from collections.abc import Iterable

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_jobs.metrics import JobMetrics
from spark_jobs.storage import Storage

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0


class LakeSizes(threading.Thread):
    """Looks every five minutes, for as long as the process lives. An error is logged."""

    def __init__(
        self, spark: SparkSession, root: str, prefixes: Iterable[str], metrics: JobMetrics
    ) -> None:
        super().__init__(name="lake_sizes", daemon=True)
        self._storage = Storage(spark, root)
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
                self._metrics.prefix(prefix, self._storage.usage(f"{self._root}/{prefix}"))
        except Py4JJavaError as error:
            log.warning("sizes in %s are not known now: %s", self._root, error.java_exception)
