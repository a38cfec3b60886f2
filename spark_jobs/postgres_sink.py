"""The one transaction of a batch: prices, dead letters and progress become visible together or not at all.

Effectively once: what a batch changes and how far it got commit in one transaction, so a batch that
comes again, or a checkpoint that is lost, changes nothing.
"""

import io
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.dead_letters import payload
from spark_jobs.latest import latest_tickers
from spark_jobs.newer import sql_age_order
from spark_jobs.schemas import TICKER
from spark_jobs.sources import Offsets, Place

# Any number that no other program of this database uses.
LIVE_JOB_LOCK = 7_305_808_869_231
LOCK_TIMEOUT = "5s"

COLUMNS = ", ".join(f'"{name}"' for name in TICKER)

CREATE_INCOMING = f"""
CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS AS
SELECT {COLUMNS} FROM live_prices WITH NO DATA
"""

# Sorted by the key, so that two writers lock rows in one order.
UPSERT = f"""
INSERT INTO live_prices ({COLUMNS}, batch_id)
SELECT {COLUMNS}, %(batch_id)s FROM incoming ORDER BY exchange, symbol
ON CONFLICT (exchange, symbol) DO UPDATE
SET {", ".join(f'"{name}" = EXCLUDED."{name}"' for name in (*TICKER, "batch_id"))}
WHERE {sql_age_order("EXCLUDED")} > {sql_age_order("live_prices")}
"""


class SecondLiveJobError(RuntimeError):
    """Another live job writes to this database."""


# What the messages at these (topic, partition, offset) hold.
ReadMessages = Callable[[Iterable[Place]], Mapping[Place, bytes]]


class PostgresSink:
    """Writes batches of normalised tickers to Postgres; for foreachBatch, which calls `write`."""

    def __init__(self, database_url: str, read_messages: ReadMessages) -> None:
        """`read_messages` is asked for what dead letters say.

        Raises SecondLiveJobError when another live job holds the lock, psycopg2.Error without Postgres.
        """
        self._read_messages = read_messages
        self._connection = psycopg2.connect(database_url, application_name="live_prices")
        self._idle = threading.Lock()
        self._stopped = False
        with self._connection, self._connection.cursor() as statements:
            _lock_out_others(statements)
            statements.execute(CREATE_INCOMING)

    def progress(self) -> Offsets:
        """The next offset of every partition that was read from."""
        with self._connection, self._connection.cursor() as statements:
            return _locked_progress(statements)

    def write(self, tickers: DataFrame, batch_id: int) -> None:
        """One transaction of what normalise gives. What lies below the progress is left out.

        After `stop` it does nothing.
        """
        with self._idle:
            if not self._stopped:
                with self._connection, self._connection.cursor() as statements:
                    _write_batch(statements, tickers, self._read_messages)

    def stop(self) -> None:
        """Returns when no transaction is under way; none will begin."""
        with self._idle:
            self._stopped = True

    def close(self) -> None:
        self._connection.close()


def _lock_out_others(statements: cursor) -> None:
    """For as long as the connection lives. Waits a little: a job that has just died may hold it."""
    statements.execute("SET LOCAL lock_timeout = %s", (LOCK_TIMEOUT,))
    try:
        statements.execute("SELECT pg_advisory_lock(%s)", (LIVE_JOB_LOCK,))
    except psycopg2.errors.LockNotAvailable as error:
        raise SecondLiveJobError(
            "another live job writes to this database: stop it first"
        ) from error


def _write_batch(statements: cursor, tickers: DataFrame, read_messages: ReadMessages) -> None:
    started_at = datetime.now(UTC)
    progress = _locked_progress(statements)
    latest = latest_tickers(tickers).toArrow()
    if _overlaps(latest, progress):
        latest = latest_tickers(_beyond(tickers, progress)).toArrow()
    if latest.num_rows == 0:
        return
    is_dead = pc.is_valid(latest["reason"])
    newest, dead = latest.filter(pc.invert(is_dead)), latest.filter(is_dead)
    statements.execute("SELECT nextval(pg_get_serial_sequence('batches', 'id'))")
    (batch_id,) = statements.fetchone() or ()
    written = _upsert(statements, newest, batch_id)
    if dead.num_rows:
        _insert_dead_letters(statements, dead, read_messages)
    next_offsets = _next_offsets(latest)
    _move_on(statements, next_offsets)
    statements.execute(
        "INSERT INTO batches (id, rows_written, rows_refused, dead_letters, offsets, started_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (
            batch_id,
            written,
            newest.num_rows - written,
            dead.num_rows,
            json.dumps(_by_topic(next_offsets)),
            started_at,
        ),
    )
    statements.execute("SELECT pg_notify('live_prices', %s)", (str(batch_id),))


def _locked_progress(statements: cursor) -> dict[tuple[str, int], int]:
    statements.execute("SELECT topic, partition, next_offset FROM kafka_progress FOR UPDATE")
    return {(topic, partition): offset for topic, partition, offset in statements.fetchall()}


def _overlaps(latest: pa.Table, progress: Offsets) -> bool:
    places = latest.select(["topic", "partition", "first_offset"]).to_pylist()
    return any(
        row["first_offset"] < progress.get((row["topic"], row["partition"]), 0) for row in places
    )


def _beyond(tickers: DataFrame, progress: Offsets) -> DataFrame:
    """The tickers that were not written yet. Rare: Spark compiles such a filter for every batch."""
    was_written = F.lit(False)
    for (topic, partition), next_offset in progress.items():
        is_partition = (F.col("topic") == topic) & (F.col("partition") == partition)
        was_written |= is_partition & (F.col("offset") < next_offset)
    return tickers.where(~was_written)


def _upsert(statements: cursor, tickers: pa.Table, batch_id: int) -> int:
    """How many rows were inserted or updated; the others were not newer."""
    rows = io.BytesIO()
    pyarrow.csv.write_csv(tickers.select(TICKER), rows)
    rows.seek(0)
    statements.copy_expert(f"COPY incoming ({COLUMNS}) FROM STDIN (FORMAT csv, HEADER)", rows)
    statements.execute(UPSERT, {"batch_id": batch_id})
    return int(statements.rowcount)


def _insert_dead_letters(statements: cursor, dead: pa.Table, read_messages: ReadMessages) -> None:
    letters = dead.select(
        ["topic", "partition", "offset", "position", "reason", "received_at"]
    ).to_pylist()
    messages = read_messages({_place(letter) for letter in letters})
    execute_values(
        statements,
        'INSERT INTO dead_letters (topic, partition, "offset", position, reason, received_at, payload)'
        " VALUES %s ON CONFLICT DO NOTHING",
        [
            (*letter.values(), payload(messages[_place(letter)], letter["position"]))
            for letter in letters
        ],
    )


def _place(letter: dict[str, Any]) -> Place:
    return letter["topic"], letter["partition"], letter["offset"]


def _next_offsets(latest: pa.Table) -> list[dict[str, Any]]:
    last = latest.group_by(["topic", "partition"]).aggregate([("last_offset", "max")])
    return [
        {**row, "next_offset": row["last_offset_max"] + 1}
        for row in last.sort_by([("topic", "ascending"), ("partition", "ascending")]).to_pylist()
    ]


def _move_on(statements: cursor, next_offsets: Iterable[dict[str, Any]]) -> None:
    execute_values(
        statements,
        "INSERT INTO kafka_progress (topic, partition, next_offset) VALUES %s"
        " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset",
        [(row["topic"], row["partition"], row["next_offset"]) for row in next_offsets],
    )


def _by_topic(next_offsets: Iterable[dict[str, Any]]) -> dict[str, dict[int, int]]:
    by_topic: dict[str, dict[int, int]] = {}
    for row in next_offsets:
        by_topic.setdefault(row["topic"], {})[row["partition"]] = row["next_offset"]
    return by_topic
