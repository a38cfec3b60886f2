"""Sort finished days of candles by symbol, beside the batches; cancelled when a batch waits for the day."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import psycopg2
from psycopg2.extensions import connection

from spark_jobs.postgres.candle_days import LATE_TICKERS, next_unsorted_day
from spark_jobs.postgres.connection import connect

log = logging.getLogger(__name__)

LOCK_TIMEOUT = "200ms"
"""Whoever writes to the day queues behind CLUSTER while it waits for its lock."""

LOOK_SECONDS = 0.1
"""Interval at which a running CLUSTER is checked for writers that wait for it."""

# A ticker's minutes are written one by one, each to a page of its own. Side by side, a month of them is
# read in half the time, or, from a disk, in a sixtieth.
SORT_DAY = """
ALTER TABLE {name} SET (fillfactor = 100);
CLUSTER {name} USING {name}_pkey
"""

# Readers ask for AccessShareLock: they wait. Somebody always looks at yesterday's candles, so a day that
# gave way to readers too would never be sorted.
CANCEL_FOR_A_WRITER = """
SELECT pg_cancel_backend(%(pid)s)
WHERE EXISTS (
    SELECT FROM pg_locks
    WHERE relation = %(day)s::regclass AND NOT granted AND mode = 'RowExclusiveLock'
)
"""


def sort_a_day(database_url: str) -> None:
    """Sort the oldest day that is over and not sorted yet. Readers of that day wait for some seconds.

    Give up when somebody writes to it: the next call tries again. Raise psycopg2.Error without Postgres.
    """
    with closing(connect(database_url, "upkeep")) as database:
        with database, database.cursor() as statements:
            statements.execute("SELECT now()")
            ((now,),) = statements.fetchall()
            day = next_unsorted_day(statements, now - LATE_TICKERS)
        if day is None:
            return
        try:
            with database, database.cursor() as statements:
                statements.execute("SET LOCAL lock_timeout = %s", (LOCK_TIMEOUT,))
                # Behind a pooler, the connection's own backend_pid is that of no process of Postgres.
                statements.execute("SELECT pg_backend_pid()")
                ((pid,),) = statements.fetchall()
                with giving_way(database_url, database, pid, day):
                    statements.execute(SORT_DAY.format(name=day))
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.QueryCanceled) as error:
            log.info("sorting postponed day=%s reason=%r", day, str(error).strip())


@contextmanager
def giving_way(database_url: str, database: connection, pid: int, day: str) -> Iterator[None]:
    """Cancel what runs on the connection when somebody waits to write to the day.

    `pid` is that of its process in Postgres.
    """
    ended = Event()

    def look() -> None:
        values = {"pid": pid, "day": day}
        try:
            while not ended.wait(LOOK_SECONDS):
                with watcher.cursor() as statements:
                    statements.execute(CANCEL_FOR_A_WRITER, values)
        except psycopg2.Error:
            log.exception("sorting is not watched any more, cancelled day=%s", day)
            database.cancel()

    with closing(connect(database_url, "upkeep")) as watcher:
        watcher.autocommit = True
        thread = Thread(target=look, name="giving-way")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
