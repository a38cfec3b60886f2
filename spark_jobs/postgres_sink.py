"""The one transaction of a batch: rows, dead letters and progress become visible together or not at all.

Effectively once: what a batch changes and how far it got commit in one transaction, so a batch that
comes again, or a checkpoint that is lost, changes nothing.
"""

import io
import logging
import time
from abc import abstractmethod
from datetime import timedelta
from typing import ClassVar

import polars as pl
import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor
from pyspark.sql import DataFrame

from spark_jobs.dead_letters import forget_dead_letters
from spark_jobs.errors import JobError
from spark_jobs.kafka_progress import (
    forget,
    ids_read,
    locked_progress,
    move_on,
    next_offsets,
    not_written,
    refuse_a_gap,
)
from spark_jobs.postgres import connect
from spark_jobs.sink import Counts, Sink
from spark_jobs.sources import Offsets
from spark_jobs.topic_ids import TopicIds, refuse_another

log = logging.getLogger(__name__)

LOCK_LIMIT = timedelta(seconds=5)
"""How long a start waits for the lock: the previous job may still be ending."""
LOST_LOCK_LIMIT = timedelta(seconds=30)
"""How long a reconnect waits for the lock: Postgres may take this long to notice the lost connection."""

RETRY_LIMIT = 60.0
"""Seconds for which a batch is tried again."""
FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0
"""Seconds between attempts; doubled from one to the next."""

# A lost connection, a deadlock, a serialisation failure, a Postgres that is shutting down. Errors that would
# recur, such as a violated constraint, are not retried.
PASSING = (psycopg2.OperationalError, psycopg2.InterfaceError)


class SecondLiveJobError(JobError):
    """Another live job writes to this database."""


class PostgresSink(Sink):
    """The part of the transaction that is the same for all tables."""

    topics: ClassVar[tuple[str, ...]]
    # Any number that no other sink and no other program of this database uses. The connection that
    # writes holds the lock, so none can be lost without the other.
    lock: ClassVar[int]
    create_incoming: ClassVar[str]

    def __init__(self, database_url: str) -> None:
        """Runs `create_incoming`, the temporary tables that batches are copied into.

        Raises SecondLiveJobError when another live job holds the lock, psycopg2.Error without Postgres.
        """
        super().__init__()
        self._database_url = database_url
        self._committed: Offsets = {}
        self._topic_ids: TopicIds = {}
        self._connect(LOCK_LIMIT)

    def _connect(self, lock_limit: timedelta) -> None:
        opened = connect(self._database_url, type(self).__name__)
        try:
            with opened, opened.cursor() as statements:
                lock_out_others(statements, self.lock, lock_limit)
                statements.execute(self.create_incoming)
        except BaseException:
            opened.close()
            raise
        self._connection = opened

    def progress(self) -> Offsets:
        """The next offset of every partition of its topics that was read from."""
        with self._connection, self._connection.cursor() as statements:
            self._committed = locked_progress(statements, self.topics)
        return self._committed

    def resume(self, ids: TopicIds) -> Offsets:
        """Return the next offset of every partition that was read from; `ids` are stored with the next ones.

        Raise TopicError for a topic that has another id than the one that was read from.
        """
        with self._connection, self._connection.cursor() as statements:
            refuse_another(ids_read(statements, self.topics), ids, "kafka_progress")
        self._topic_ids = ids
        return self.progress()

    def accept(self, ids: TopicIds) -> list[str]:
        """Read topics that have another id now from their oldest record. Return their names.

        The dead letters of the former topics are deleted.
        """
        with self._connection, self._connection.cursor() as statements:
            accepted = forget(statements, ids)
            forget_dead_letters(statements, accepted)
            return accepted

    def close(self) -> None:
        self._connection.close()

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Write the batch in one transaction. Retry errors that pass for up to RETRY_LIMIT.

        Spark computes the batch once, before the first attempt. If a COMMIT got no answer, the next attempt
        reads from kafka_progress whether it took place.
        """
        rows = batch.toArrow()
        limit = time.monotonic() + RETRY_LIMIT
        delay = FIRST_DELAY
        while True:
            try:
                if self._connection.closed:
                    self._connect(LOST_LOCK_LIMIT)
                return self._transaction(rows)
            except PASSING as error:
                if time.monotonic() + delay > limit:
                    raise
                reason = " ".join(str(error).split())
                log.warning("writing to Postgres: %s; again in %.2f s", reason, delay)
                if self._stopping.wait(delay):
                    raise
                delay = min(2 * delay, LONGEST_DELAY)

    def _transaction(self, rows: pa.Table) -> Counts:
        """Write the rows that are not below kafka_progress."""
        with self._connection, self._connection.cursor() as statements:
            progress = locked_progress(statements, self.topics)
            refuse_a_gap(progress, self._committed)
            new = not_written(rows, progress)
            if not new.num_rows:
                # A COMMIT that was not answered has taken place.
                self._committed = progress
                return {}
            reached = next_offsets(new)
            counts = self._write_rows(statements, new, reached)
            move_on(statements, reached, self._topic_ids)
        self._committed = {**progress, **reached}
        return counts

    @abstractmethod
    def _write_rows(self, statements: cursor, rows: pa.Table, reached: Offsets) -> Counts:
        """`reached` is the progress that the rows make. See kafka_progress for the columns they must have."""


def lock_out_others(statements: cursor, lock: int, limit: timedelta) -> None:
    """Take the advisory lock until the connection closes.

    Wait up to `limit`: a job that has just ended may still hold it. Raise SecondLiveJobError after that.
    """
    milliseconds = limit // timedelta(milliseconds=1)
    statements.execute("SET LOCAL lock_timeout = %s", (milliseconds,))
    try:
        statements.execute("SELECT pg_advisory_lock(%s)", (lock,))
    except psycopg2.errors.LockNotAvailable as error:
        raise SecondLiveJobError(
            "another live job writes to this database: stop it first (make stop-jobs)"
        ) from error


# As Postgres reads them in any time zone: all of ours are UTC.
COPIED_TIME = "%Y-%m-%d %H:%M:%S%.6fZ"


def copy_into(statements: cursor, table: str, rows: pl.DataFrame) -> None:
    """NULL and an empty text stay apart, because only texts are quoted."""
    columns = ", ".join(f'"{name}"' for name in rows.columns)
    lines = io.BytesIO()
    rows.write_csv(
        lines, include_header=False, quote_style="non_numeric", datetime_format=COPIED_TIME
    )
    lines.seek(0)
    statements.copy_expert(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)", lines)
