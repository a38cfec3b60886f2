"""What is too old is deleted, and finished days of candles are sorted: beside the batches, not in them."""

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

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0

# Whoever waits for a lock makes all who come later wait too.
LOCK_TIMEOUT = "200ms"

# Of a transaction, so that none is long. There are as many as it takes.
ROWS_AT_ONCE = 10_000
BATCHES_KEPT = timedelta(days=3)
DEAD_LETTERS_KEPT = timedelta(days=30)

# Readers ask for the last id: it stays.
DELETE_BATCHES = """
DELETE FROM batches
WHERE id IN (SELECT id FROM batches ORDER BY id LIMIT %(rows)s)
    AND committed_at < %(until)s AND id < (SELECT max(id) FROM batches)
"""

# A row that changes meanwhile has another ctid, and is young again.
DELETE_DEAD_LETTERS = """
DELETE FROM {table}
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE written_at < %(until)s ORDER BY written_at LIMIT %(rows)s
))
"""


class Upkeep(threading.Thread):
    """A step a minute, for as long as the process lives. Prices do not depend on it: an error is logged."""

    def __init__(self, database_url: str, candles_kept: timedelta) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._candles_kept = candles_kept
        self._database_url = database_url

    def run(self) -> None:
        while True:
            try:
                with closing(connect(self._database_url, "upkeep")) as database:
                    one_step(database, self._candles_kept)
                sort_a_day(self._database_url)
            # Whatever it is: a thread that ends would not be missed before the disk is full.
            except Exception:
                log.exception("upkeep failed, it is tried again in %.0f s", EVERY_SECONDS)
            time.sleep(EVERY_SECONDS)


def one_step(database: connection, candles_kept: timedelta = RETENTION) -> None:
    """Delete all rows that are too old, ROWS_AT_ONCE in a transaction, and one day of candles."""

    def drop_candles(statements: cursor, now: datetime) -> None:
        drop_a_day(statements, now, candles_kept)

    for delete in (delete_batches, delete_dead_letters, delete_dead_letter_spans):
        while _run(database, delete):
            pass
    _run(database, drop_candles)


def delete_batches(statements: cursor, now: datetime) -> bool:
    """Delete some. Return whether there may be more."""
    statements.execute(DELETE_BATCHES, {"until": now - BATCHES_KEPT, "rows": ROWS_AT_ONCE})
    return statements.rowcount == ROWS_AT_ONCE


def delete_dead_letters(statements: cursor, now: datetime) -> bool:
    """Delete some examples. Return whether there may be more."""
    return _delete_dead_letters(statements, "dead_letters", now)


def delete_dead_letter_spans(statements: cursor, now: datetime) -> bool:
    """Delete some counts. Return whether there may be more."""
    return _delete_dead_letters(statements, "dead_letter_spans", now)


def _delete_dead_letters(statements: cursor, table: str, now: datetime) -> bool:
    values = {"until": now - DEAD_LETTERS_KEPT, "rows": ROWS_AT_ONCE}
    statements.execute(DELETE_DEAD_LETTERS.format(table=table), values)
    return statements.rowcount == ROWS_AT_ONCE


def _run(database: connection, step: Callable[[cursor, datetime], bool | None]) -> bool | None:
    """Return what the step returns. When a lock is taken, it waits for the next minute."""
    try:
        with database, database.cursor() as statements:
            statements.execute("SET LOCAL lock_timeout = %s", (LOCK_TIMEOUT,))
            statements.execute("SELECT now()")
            ((now,),) = statements.fetchall()
            return step(statements, now)
    except psycopg2.errors.LockNotAvailable as error:
        log.info("%s waits for the next time: %s", step.__name__, str(error).strip())
        return None
