"""Sort finished days of candles by symbol, outside of the batches.

Sorting is cancelled when a batch waits for that day.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import psycopg2
from psycopg2.extensions import connection

from spark_jobs.postgres.candle_days import SORT_DELAY, next_unsorted_day
from spark_jobs.postgres.connection import connect

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "200ms"
"""Maximum wait of CLUSTER for its lock: writers to that day queue behind it."""

LOOK_SECONDS = 0.1
"""Interval at which a running CLUSTER is checked for writers that wait for it."""

# The minutes of a symbol are written one by one, each to another page. Sorted, a month of them is read
# in half the time, or in 1/60 of it from a disk.
SORT_DAY = """
ALTER TABLE {name} SET (fillfactor = 100);
CLUSTER {name} USING {name}_pkey
"""

# Only writers cancel the sorting. Readers, with AccessShareLock, wait: yesterday's candles are always
# being read, so a day that yielded to readers too would never be sorted.
CANCEL_FOR_A_WRITER = """
SELECT pg_cancel_backend(%(pid)s)
WHERE EXISTS (
    SELECT FROM pg_locks
    WHERE relation = %(day)s::regclass AND NOT granted AND mode = 'RowExclusiveLock'
)
"""


def sort_a_day(database_url: str) -> None:
    """Sort the oldest finished day that is not sorted yet. Readers of that day wait for some seconds.

    A query of the server that waits longer than one second is answered with 503; a stream goes on without
    candles. Give up when a writer waits for that day: the next call retries. Raise psycopg2.Error if
    Postgres is unavailable.
    """
    with closing(connect(database_url, "upkeep")) as database:
        with database, database.cursor() as statements:
            statements.execute("SELECT now()")
            ((now,),) = statements.fetchall()
            day = next_unsorted_day(statements, now - SORT_DELAY)
        if day is None:
            return
        try:
            with database, database.cursor() as statements:
                statements.execute("SET LOCAL lock_timeout = %s", (LOCK_TIMEOUT,))
                # Behind a pooler, the connection's backend_pid is not that of a Postgres process.
                statements.execute("SELECT pg_backend_pid()")
                ((pid,),) = statements.fetchall()
                with cancelled_for_writers(database_url, database, pid, day):
                    statements.execute(SORT_DAY.format(name=day))
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.QueryCanceled) as error:
            log.info("sorting postponed day=%s reason=%r", day, str(error).strip())


@contextmanager
def cancelled_for_writers(
    database_url: str, database: connection, pid: int, day: str
) -> Iterator[None]:
    """Cancel the statement on the connection when a writer waits for the day.

    `pid` is the id of the connection's process in Postgres.
    """
    ended = Event()

    def watch() -> None:
        values = {"pid": pid, "day": day}
        try:
            while not ended.wait(LOOK_SECONDS):
                with watcher.cursor() as statements:
                    statements.execute(CANCEL_FOR_A_WRITER, values)
        except psycopg2.Error:
            log.exception("sorting cancelled, watching failed day=%s", day)
            database.cancel()

    with closing(connect(database_url, "upkeep")) as watcher:
        watcher.autocommit = True
        thread = Thread(target=watch, name="giving-way")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
