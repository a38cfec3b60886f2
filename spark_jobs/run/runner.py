"""Starts queries, and keeps them running until one fails or the process is asked to end."""

import fcntl
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from core.settings import JOBS, Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.partitions import raise_if_refused
from spark_jobs.run.batch_reports import BatchReports
from spark_jobs.run.entry import run
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.progress_events import listen
from spark_jobs.run.session import spark_session
from spark_jobs.run.sink import Sink

log = logging.getLogger(__name__)

POLL_SECONDS = 1

# Starts queries, and gives their sinks.
Start = Callable[[SparkSession, Settings], Sequence[Sink]]


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


def keep_others_out(folder: str, job: str) -> None:
    """Until this process ends. Raises JobError when another on this machine runs the job there."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = os.open(Path(folder) / f"{job}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JobError(f"another {job} runs with CHECKPOINT_DIR={folder}: stop it first") from error


def run_job(
    name: str, starts: Sequence[tuple[str, Start]], metrics_port: Callable[[Settings], int]
) -> None:
    """Starts queries, each in its scheduler pool, and reports their batches until all end.

    Ends in order on SIGTERM and SIGINT; with status 1 when a query fails.
    """
    log_to_stderr()
    run(name, lambda: _run(name, starts, metrics_port))


def _run(
    name: str, starts: Sequence[tuple[str, Start]], metrics_port: Callable[[Settings], int]
) -> None:
    settings = Settings.from_environment(JOBS)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    spark = spark_session(name)
    metrics = JobMetrics()
    reports = BatchReports(metrics)
    listen(spark, reports.report)
    sinks: list[Sink] = []
    for pool, start in starts:
        # What this thread starts, queries too, runs in the pool.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", pool)
        for sink in start(spark, settings):
            reports.watch(sink)
            sink.report_to(metrics)
            sinks.append(sink)
    metrics.serve(settings.metrics_host, metrics_port(settings))
    try:
        _wait(spark, sinks, asked_to_end)
    except StreamingQueryException as error:
        raise_if_refused(error, settings)
        raise
    spark.stop()


def _wait(spark: SparkSession, sinks: Sequence[Sink], asked_to_end: threading.Event) -> None:
    """Until a query ends or the process shall. Lets the sinks finish what they have begun.

    Raises the exception of the query that failed.
    """
    queries = spark.streams.active
    names = ",".join(sorted(query.name for query in queries))
    log.info("running queries=%s", names)
    try:
        while not asked_to_end.is_set() and not spark.streams.awaitAnyTermination(POLL_SECONDS):
            pass
    finally:
        for sink in sinks:
            sink.stop_soon()
        for sink in sinks:
            sink.stop()
        for query in queries:
            query.stop()
        log.info("ended queries=%s", names)
