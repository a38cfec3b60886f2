"""Delete expired rows and sort finished days of candles, outside of the batches."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta

import psycopg2
from psycopg2.extensions import connection, cursor

from spark_jobs.postgres.candle_days import RETENTION, drop_a_day
from spark_jobs.postgres.candle_sorting import sort_a_day
from spark_jobs.postgres.connection import connect
from spark_jobs.postgres.exchange_candle_partitions import delete_old_spans, drop_a_partition

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0

# Sorting writes a day's candles a second time. If the disk is too full for that, each attempt fills it.
SORT_RETRY_SECONDS = 3600.0

# Short, because later requests for the table queue behind one that waits for its lock.
LOCK_TIMEOUT = "200ms"

# Rows deleted in one transaction, to keep it short. Transactions follow until all are deleted.
ROWS_AT_ONCE = 10_000
BATCHES_KEPT = timedelta(days=3)
DEAD_LETTERS_KEPT = timedelta(days=30)

# The row with the last id is kept: readers ask for it.
DELETE_BATCHES = """
DELETE FROM batches
WHERE id IN (SELECT id FROM batches ORDER BY id LIMIT %(rows)s)
    AND committed_at < %(until)s AND id < (SELECT max(id) FROM batches)
"""

# A row that is updated meanwhile is kept: it has another ctid, and a new written_at.
DELETE_DEAD_LETTERS = """
DELETE FROM {table}
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE written_at < %(until)s ORDER BY written_at LIMIT %(rows)s
))
"""


class Upkeep(threading.Thread):
    """Thread that runs one step per minute. Prices do not depend on it, so errors are only logged."""

    def __init__(self, database_url: str, candles_kept: timedelta) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._candles_kept = candles_kept
        self._database_url = database_url
        self._sort_at = 0.0

    def run(self) -> None:
        while True:
            try:
                with closing(connect(self._database_url, "upkeep")) as database:
                    one_step(database, self._candles_kept)
                self._sort_if_due()
            # Catch everything: if this thread ended, nothing would notice before the disk is full.
            except Exception:
                log.exception("upkeep failed retry_in=%.0f", EVERY_SECONDS)
            time.sleep(EVERY_SECONDS)

    def _sort_if_due(self) -> None:
        """Sort up to one day. After an error, pause for SORT_RETRY_SECONDS."""
        if time.monotonic() < self._sort_at:
            return
        try:
            sort_a_day(self._database_url)
        except psycopg2.Error:
            self._sort_at = time.monotonic() + SORT_RETRY_SECONDS
            log.exception("sorting failed retry_in=%.0f", SORT_RETRY_SECONDS)


def one_step(database: connection, candles_kept: timedelta = RETENTION) -> None:
    """Delete all expired rows, and drop up to one expired partition of each table of candles.

    A transaction deletes up to ROWS_AT_ONCE rows.
    """

    def drop_candles(statements: cursor, now: datetime) -> None:
        drop_a_day(statements, now, candles_kept)

    def drop_exchange_candles(statements: cursor, now: datetime) -> None:
        drop_a_partition(statements, now, candles_kept)

    def delete_spans(statements: cursor, now: datetime) -> bool:
        return delete_old_spans(statements, now - candles_kept, ROWS_AT_ONCE)

    for delete in (delete_batches, delete_dead_letters, delete_dead_letter_spans, delete_spans):
        while _run(database, delete):
            pass
    for drop in (drop_candles, drop_exchange_candles):
        _run(database, drop)


def delete_batches(statements: cursor, now: datetime) -> bool:
    """Delete up to ROWS_AT_ONCE batches. Return whether there may be more."""
    statements.execute(DELETE_BATCHES, {"until": now - BATCHES_KEPT, "rows": ROWS_AT_ONCE})
    return statements.rowcount == ROWS_AT_ONCE


def delete_dead_letters(statements: cursor, now: datetime) -> bool:
    """Delete up to ROWS_AT_ONCE examples. Return whether there may be more."""
    return _delete_dead_letters(statements, "dead_letters", now)


def delete_dead_letter_spans(statements: cursor, now: datetime) -> bool:
    """Delete up to ROWS_AT_ONCE spans. Return whether there may be more."""
    return _delete_dead_letters(statements, "dead_letter_spans", now)


def _delete_dead_letters(statements: cursor, table: str, now: datetime) -> bool:
    values = {"until": now - DEAD_LETTERS_KEPT, "rows": ROWS_AT_ONCE}
    statements.execute(DELETE_DEAD_LETTERS.format(table=table), values)
    return statements.rowcount == ROWS_AT_ONCE


def _run(database: connection, step: Callable[[cursor, datetime], bool | None]) -> bool | None:
    """Run a step in a transaction and return its result. If a lock is taken, return None."""
    try:
        with database, database.cursor() as statements:
            statements.execute("SET LOCAL lock_timeout = %s", (LOCK_TIMEOUT,))
            statements.execute("SELECT now()")
            ((now,),) = statements.fetchall()
            return step(statements, now)
    except psycopg2.errors.LockNotAvailable as error:
        log.info("step postponed name=%s reason=%r", step.__name__, str(error).strip())
        return None
