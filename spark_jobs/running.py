"""Keeps a query running until it fails or the process is asked to end."""

import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql.streaming.query import StreamingQuery

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


def run_until_asked_to_end(query: StreamingQuery, stop_sink: Callable[[], None]) -> None:
    """Blocks. On SIGTERM or SIGINT lets the sink finish what it has begun, then stops the query.

    Raises the query's own exception when it fails.
    """
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    log.info("running query=%s", query.name)
    while not asked_to_end.is_set():
        if query.awaitTermination(POLL_SECONDS):
            return
    stop_sink()
    query.stop()
    log.info("ended query=%s", query.name)
