"""Write each batch in one transaction: rows, dead letters and progress commit together or not at all.

Effectively once: the progress commits with the rows, so neither a repeated batch nor a lost checkpoint
changes anything.
"""

import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import NamedTuple

import polars as pl
import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor

from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.topic_ids import TopicIds, refuse_recreated_topics
from spark_jobs.postgres.connection import connect
from spark_jobs.postgres.dead_letters import forget_dead_letters
from spark_jobs.postgres.kafka_progress import (
    delete_replaced_progress,
    locked_progress,
    next_offsets,
    raise_if_behind,
    rows_after_progress,
    store_progress,
    stored_topic_ids,
)
from spark_jobs.run.sink import Counts

log = logging.getLogger(__name__)

LOCK_LIMIT = timedelta(seconds=5)
"""Maximum wait for the lock at a start: the previous job may still be ending."""
LOST_LOCK_LIMIT = timedelta(seconds=30)
"""Maximum wait for the lock at a reconnect: Postgres may need this long to notice the loss."""

RETRY_LIMIT = 60.0
"""Seconds for which a batch is retried."""
FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0
"""Seconds before the first retry, and the maximum before any: the delay doubles each time."""

# Transient errors, which are retried: a lost connection, a deadlock, a serialisation failure, a shutdown
# of Postgres. Errors that would recur, such as a violated constraint, are not.
TRANSIENT_ERRORS = (psycopg2.OperationalError, psycopg2.InterfaceError)


TOPICS_WITH_DEAD_LETTERS = """
SELECT DISTINCT topic FROM dead_letter_spans WHERE topic = ANY(%s) ORDER BY topic
"""


class SecondLiveJobError(JobError):
    """Another live job, a rebuild or a replay writes to this database."""


class Tables(NamedTuple):
    """Topics, lock and temporary tables of a sink."""

    topics: tuple[str, ...]
    """Topics whose offsets in kafka_progress belong to this sink."""
    lock: int
    """Key of the advisory lock: a number that no other sink or program of this database uses."""
    create_incoming: str
    """Statement that creates the temporary tables into which batches are copied."""


Write = Callable[[cursor, pa.Table, Offsets], Counts]
"""Function that writes rows in the open transaction. The offsets are the progress after these rows."""


class Transactions:
    """The only connection that writes these tables and their progress in Kafka.

    The connection holds the advisory lock, so neither can be lost without the other.
    """

    def __init__(
        self, database_url: str, name: str, tables: Tables, schema: str | None = None
    ) -> None:
        """Connect as the application `name`. `schema` has the tables, if they are not in public.

        Raise SecondLiveJobError if another live job holds the lock, psycopg2.Error if Postgres is
        unavailable.
        """
        self._database_url = database_url
        self._name = name
        self._tables = tables
        self._schema = schema
        self._committed: Offsets = {}
        self._topic_ids: TopicIds = {}
        self.attempt_failed: Callable[[], None] = lambda: None
        """Called after each attempt to write a batch that failed with a transient error."""
        self._connect(LOCK_LIMIT)

    def _connect(self, lock_limit: timedelta) -> None:
        opened = connect(self._database_url, self._name)
        try:
            with opened, opened.cursor() as statements:
                take_writer_lock(statements, self._tables.lock, lock_limit)
                statements.execute(self._tables.create_incoming)
                if self._schema:
                    statements.execute(f"SET search_path TO {self._schema}")
        except BaseException:
            opened.close()
            raise
        self._connection = opened

    @contextmanager
    def begin(self) -> Iterator[cursor]:
        """Yield a cursor in a transaction. Commit at the end of the block; roll back if it raises."""
        with self._connection, self._connection.cursor() as statements:
            yield statements

    @property
    def committed(self) -> Offsets:
        """Next offset of every partition, as of the newest commit. Other threads may read it."""
        return self._committed

    def progress(self) -> Offsets:
        """Return the next offset of every partition that was read."""
        with self.begin() as statements:
            self._committed = locked_progress(statements, self._tables.topics)
        return self._committed

    def resume(self, ids: TopicIds) -> Offsets:
        """Return the next offset of every partition that was read. `ids` are stored with later progress.

        Raise TopicError for a topic whose id is not the stored one.
        """
        with self.begin() as statements:
            refuse_recreated_topics(
                stored_topic_ids(statements, self._tables.topics), ids, "kafka_progress"
            )
        self._topic_ids = ids
        return self.progress()

    def accept(self, ids: TopicIds) -> list[str]:
        """Delete progress and dead letters of topics whose id is not the stored one. Return their names.

        These topics are then read from their oldest record.
        """
        with self.begin() as statements:
            accepted = delete_replaced_progress(statements, ids)
            forget_dead_letters(statements, accepted)
            return accepted

    def reset_topics_with_dead_letters(self) -> list[str]:
        """Delete progress and dead letters of the topics with dead letters. Return their names.

        The live job then reads these topics from their oldest records. Messages that can now be read
        become rows; the others are counted again. Counts of messages that Kafka no longer has are lost.
        """
        with self.begin() as statements:
            statements.execute(TOPICS_WITH_DEAD_LETTERS, (list(self._tables.topics),))
            topics = [topic for (topic,) in statements.fetchall()]
            forget_dead_letters(statements, topics)
            statements.execute("DELETE FROM kafka_progress WHERE topic = ANY(%s)", (topics,))
        return topics

    def close(self) -> None:
        self._connection.close()

    def write(self, rows: pa.Table, write: Write, stopping: Event) -> Counts:
        """Write the rows in one transaction. Retry transient errors for up to RETRY_LIMIT.

        kafka_progress.py names the columns that rows must have. Rows below the progress are discarded.
        If COMMIT got no answer, the next attempt learns from the progress whether it succeeded. Once
        `stopping` is set, errors are raised without a retry.
        """
        deadline = time.monotonic() + RETRY_LIMIT
        delay = FIRST_DELAY
        while True:
            try:
                if self._connection.closed:
                    self._connect(LOST_LOCK_LIMIT)
                return self._attempt(rows, write)
            except TRANSIENT_ERRORS as error:
                self.attempt_failed()
                if time.monotonic() + delay > deadline:
                    raise
                reason = " ".join(str(error).split())
                log.warning("writing to Postgres failed retry_in=%.2f reason=%r", delay, reason)
                if stopping.wait(delay):
                    raise
                delay = min(2 * delay, LONGEST_DELAY)

    def _attempt(self, rows: pa.Table, write: Write) -> Counts:
        with self.begin() as statements:
            progress = locked_progress(statements, self._tables.topics)
            raise_if_behind(progress, self._committed)
            new = rows_after_progress(rows, progress)
            if not new.num_rows:
                # All is committed: an earlier COMMIT got no answer, or the batch is a repetition.
                self._committed = progress
                return {}
            reached = next_offsets(new)
            counts = write(statements, new, reached)
            store_progress(statements, reached, self._topic_ids)
        self._committed = {**progress, **reached}
        return counts


def take_writer_lock(statements: cursor, lock: int, limit: timedelta) -> None:
    """Take the advisory lock until the connection closes.

    Wait up to `limit`: a job that has just ended may still hold it. Raise SecondLiveJobError after that.
    """
    milliseconds = limit // timedelta(milliseconds=1)
    statements.execute("SET LOCAL lock_timeout = %s", (milliseconds,))
    try:
        statements.execute("SELECT pg_advisory_lock(%s)", (lock,))
    except psycopg2.errors.LockNotAvailable as error:
        raise SecondLiveJobError(
            "another live job writes to this database: stop it first (make stop-jobs). A rebuild or a "
            "replay of dead letters ends by itself"
        ) from error


# With Z for UTC, so that the time zone of the session does not matter.
COPIED_TIME = "%Y-%m-%d %H:%M:%S%.6fZ"


def copy_into(statements: cursor, table: str, rows: pl.DataFrame) -> None:
    """Copy rows into a table. Texts are quoted and NULL is not, so an empty text differs from NULL."""
    columns = ", ".join(f'"{name}"' for name in rows.columns)
    lines = io.BytesIO()
    rows.write_csv(
        lines, include_header=False, quote_style="non_numeric", datetime_format=COPIED_TIME
    )
    lines.seek(0)
    statements.copy_expert(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)", lines)
