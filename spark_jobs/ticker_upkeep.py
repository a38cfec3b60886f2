"""The upkeep of the tickers' table: small files become large ones, days that are too old go."""

import logging
import time
from datetime import UTC, datetime, timedelta

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

EVERY_SECONDS = 3600.0


class TickerUpkeep:
    """Once an hour, between two batches: Delta on S3 is safe from one driver only.

    The first is an hour after the start. What fails is logged and tried an hour later: batches do not
    depend on it.
    """

    def __init__(self, spark: SparkSession, path: str, retention_days: int) -> None:
        self._spark = spark
        self._path = path
        self._retention = timedelta(days=retention_days)
        self._due = time.monotonic() + EVERY_SECONDS

    def when_due(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        try:
            self.run(datetime.now(UTC))
        except (PySparkException, Py4JJavaError):
            log.exception("upkeep of %s failed, it is tried again in an hour", self._path)

    def run(self, now: datetime) -> None:
        """Drops the days before those that are kept, joins small files of the newest two days, and
        deletes files that no version needs any more.
        """
        began = time.monotonic()
        table = DeltaTable.forPath(self._spark, self._path)
        # Whole partitions: Delta only takes their files out of its list.
        table.delete(f"date < '{(now - self._retention).date()}'")
        table.optimize().where(f"date >= '{(now - timedelta(days=1)).date()}'").executeCompaction()
        table.vacuum()
        log.info("upkeep table=%s seconds=%.1f", self._path, time.monotonic() - began)
