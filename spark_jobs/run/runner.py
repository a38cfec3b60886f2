"""Start queries, and keep them running until one fails or shutdown is requested."""

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
from spark_jobs.kafka_source.partitions import raise_if_unauthorized
from spark_jobs.run.batch_reports import BatchReports
from spark_jobs.run.consumer_groups import ConsumerGroups
from spark_jobs.run.entry import run
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.progress_events import listen
from spark_jobs.run.session import ignore_interrupts, spark_session
from spark_jobs.run.sink import Sink

log = logging.getLogger(__name__)

POLL_SECONDS = 1

LAKE_QUERIES = ("raw_archive", "price_history")
"""Queries that start a batch every LAKE_BATCH_SECONDS."""

Start = Callable[[SparkSession, Settings], Sequence[Sink]]
"""Function that starts queries and returns their sinks."""


def log_to_stderr() -> None:
    """Log to stderr, where Spark logs too: one line per event, in UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s.%(msecs)03dZ level=%(levelname)s logger=%(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    # py4j would log every call to the JVM.
    logging.getLogger("py4j").setLevel(logging.WARNING)


def fresh_checkpoint(folder: str, job: str) -> str:
    """Create an empty checkpoint. The sink knows its offsets; an old checkpoint could only disagree."""
    checkpoint = Path(folder).resolve() / job
    shutil.rmtree(checkpoint, ignore_errors=True)
    checkpoint.mkdir(parents=True)
    return checkpoint.as_uri()


def lock_job(folder: str, job: str) -> None:
    """Lock the job until this process ends. Raise JobError if another process here has the lock."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    lock = os.open(Path(folder) / f"{job}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JobError(f"another {job} runs with CHECKPOINT_DIR={folder}: stop it first") from error


def run_job(
    name: str, starts: Sequence[tuple[str, Start]], metrics_port: Callable[[Settings], int]
) -> None:
    """Start queries, each in its scheduler pool, and report their batches until all end.

    Stop them cleanly on SIGTERM and SIGINT. Exit with status 1 if a query fails.
    """
    log_to_stderr()
    run(name, lambda: _run(name, starts, metrics_port))


def _run(
    name: str, starts: Sequence[tuple[str, Start]], metrics_port: Callable[[Settings], int]
) -> None:
    settings = Settings.from_environment(JOBS)
    shutdown = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: shutdown.set())
    spark = spark_session(name)
    # A batch has few rows: messages, files, or Arrow streams. To generate code for them, which each task
    # does again, takes longer than to interpret the plan.
    spark.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    # After the session, which sets a handler of its own.
    signal.signal(signal.SIGINT, lambda *_: shutdown.set())
    ignore_interrupts(spark)
    metrics = JobMetrics()
    reports = BatchReports(metrics)
    listen(spark, reports.report)
    sinks: list[Sink] = []
    for pool, start in starts:
        # Applies to whatever this thread starts, including queries.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", pool)
        for sink in start(spark, settings):
            reports.watch(sink)
            metrics.expect(sink.query, lag_limit(sink.query, settings))
            sink.report_to(metrics)
            sinks.append(sink)
    metrics.serve(settings.metrics_host, metrics_port(settings))
    groups = ConsumerGroups(settings, sinks)
    groups.start()
    try:
        _wait(spark, sinks, shutdown)
    except StreamingQueryException as error:
        raise_if_unauthorized(error, settings)
        raise
    finally:
        groups.close()
    spark.stop()


def lag_limit(query: str, settings: Settings) -> float:
    """Return the lag in seconds that a query does not exceed without a fault."""
    return settings.lake_batch_seconds + 240 if query in LAKE_QUERIES else 300


def _wait(spark: SparkSession, sinks: Sequence[Sink], shutdown: threading.Event) -> None:
    """Block until a query ends or shutdown is requested. Then let the sinks finish their batches.

    Raise the exception of the query that failed.
    """
    queries = spark.streams.active
    names = ",".join(sorted(query.name for query in queries))
    log.info("running queries=%s", names)
    try:
        while not shutdown.is_set() and not spark.streams.awaitAnyTermination(POLL_SECONDS):
            pass
    finally:
        for sink in sinks:
            sink.stop_soon()
        for sink in sinks:
            sink.stop()
        for query in queries:
            query.stop()
        log.info("ended queries=%s", names)
