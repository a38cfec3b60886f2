"""Keeps queries running until one fails or the process is asked to end."""

import logging
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from spark_jobs.batch_reports import BatchReports
from spark_jobs.metrics import JobMetrics
from spark_jobs.sink import Sink

log = logging.getLogger(__name__)

POLL_SECONDS = 1


def log_to_stderr() -> None:
    """One line per event, in UTC, beside Spark's own."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ level=%(levelname)s logger=%(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    # Its every call to the JVM.
    logging.getLogger("py4j").setLevel(logging.WARNING)


def fresh_checkpoint(folder: str, job: str) -> str:
    """An empty folder: the sink says how far it is, what a former run left could only contradict it."""
    checkpoint = Path(folder).resolve() / job
    shutil.rmtree(checkpoint, ignore_errors=True)
    checkpoint.mkdir(parents=True)
    return checkpoint.as_uri()


def run_until_asked_to_end(spark: SparkSession, sinks: Sequence[Sink], metrics: JobMetrics) -> None:
    """Blocks while all of the session's queries run; each of their batches is reported.

    On SIGTERM or SIGINT, or when a query ends, lets the sinks finish what they have begun, then stops
    the queries. Raises the exception of the query that failed.
    """
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    spark.streams.addListener(BatchReports(sinks, metrics))
    queries = spark.streams.active
    names = ",".join(sorted(query.name for query in queries))
    log.info("running queries=%s", names)
    try:
        while not asked_to_end.is_set() and not spark.streams.awaitAnyTermination(POLL_SECONDS):
            pass
    finally:
        for sink in sinks:
            sink.stop()
        for query in queries:
            query.stop()
        log.info("ended queries=%s", names)
