"""Write batches to Postgres: the newest ticker per symbol, candles, dead letters, a notification.

A batch is one transaction: see transaction.py.
"""

import json
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor
from pyspark.sql import DataFrame

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.offsets import Offsets, by_topic
from spark_jobs.postgres.candle_days import RETENTION
from spark_jobs.postgres.candles import CREATE_INCOMING_CANDLES, merge_candles, tickers_in
from spark_jobs.postgres.dead_letters import add_dead_letters, letters_in, spans_in
from spark_jobs.postgres.postgres_sink import PostgresSink
from spark_jobs.postgres.transaction import Tables, Transactions, copy_into
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Counts
from spark_jobs.tickers.arrow_streams import collected
from spark_jobs.tickers.columns import (
    IS_DEAD_SPAN,
    IS_TICKER,
    IS_UNREAD,
    REDUCED,
    TICKER,
    as_frame,
)
from spark_jobs.tickers.element_reader import CAUSES
from spark_jobs.tickers.reading import LastMinute, Reading, Share, reading_of
from spark_jobs.tickers.ticker_order import polars_age_order, sql_age_order

KEY = ("exchange", "symbol")
COLUMNS = ", ".join(f'"{name}"' for name in TICKER)
VALUES = tuple(name for name in TICKER if name not in KEY)

# MERGE, because INSERT ... ON CONFLICT looks up and locks each row before it updates it, which doubles
# the WAL records. ON CONFLICT would tolerate a concurrent insert of the same symbol, but the sink's lock
# excludes that.
UPSERT = f"""
MERGE INTO live_prices USING incoming
ON live_prices.exchange = incoming.exchange AND live_prices.symbol = incoming.symbol
WHEN MATCHED AND {sql_age_order("incoming")} > {sql_age_order("live_prices")} THEN UPDATE
SET {", ".join(f'"{name}" = incoming."{name}"' for name in VALUES)}, batch_id = %(batch_id)s
WHEN NOT MATCHED THEN INSERT ({COLUMNS}, batch_id)
VALUES ({", ".join(f'incoming."{name}"' for name in TICKER)}, %(batch_id)s)
"""


TABLES = Tables(
    topics=tuple(EXCHANGE_OF_TOPIC),
    lock=7_305_808_869_231,
    create_incoming=f"""
        CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS AS
        SELECT {COLUMNS} FROM live_prices WITH NO DATA;
        {CREATE_INCOMING_CANDLES}
    """,
)


class PriceSink(PostgresSink):
    """Sink for batches that messages.minutes returns."""

    query = "live_prices"
    topics = TABLES.topics

    def __init__(
        self,
        database_url: str,
        candles_kept: timedelta = RETENTION,
        *,
        name: str = "PriceSink",
        schema: str | None = None,
    ) -> None:
        """Discard candles older than `candles_kept`. For `name` and `schema` see Transactions."""
        super().__init__(Transactions(database_url, name, TABLES, schema))
        self._candles_kept = candles_kept
        self._newest: Mapping[str, datetime] = {}
        self._last_minute = LastMinute()
        self._new_readings: deque[Reading] = deque()
        self._written: Written

    def report_to(self, metrics: JobMetrics) -> None:
        super().report_to(metrics)
        metrics.expect_causes(CAUSES)

    def newest(self) -> Mapping[str, datetime]:
        return self._newest

    def new_readings(self) -> list[Reading]:
        return [self._new_readings.popleft() for _ in range(len(self._new_readings))]

    def unreadable(self) -> Mapping[str, Share]:
        return self._last_minute.shares()

    def _write_batch(self, batch: DataFrame) -> Counts:
        # Spark computes the batch once, before the first attempt.
        rows = collected(batch, REDUCED)
        counts = self.postgres.write(rows, self._write_rows, self._stopping)
        if counts:
            self._new_readings.append(self._written.reading)
            self._last_minute.add(self._written.reading)
            for exchange, received_at in self._written.last_received.items():
                known = self._newest.get(exchange, received_at)
                self._newest = {**self._newest, exchange: max(known, received_at)}
        return counts

    def _write_rows(self, statements: cursor, rows: pa.Table, reached: Offsets) -> Counts:
        add_dead_letters(statements, letters_in(rows), spans_in(rows))
        self._written = write_tickers(statements, rows, reached, self._candles_kept)
        return self._written.counts


class Written(NamedTuple):
    """Counts and reading of a batch, and when the newest price of each exchange in it was received."""

    counts: Counts
    reading: Reading
    last_received: Mapping[str, datetime]


def write_tickers(
    statements: cursor, rows: pa.Table, reached: Offsets, candles_kept: timedelta
) -> Written:
    """Write prices, candles and the row in `batches`. Dead letters are only counted in that row."""
    good, dead, unread = (
        rows.filter(pc.field("kind") == kind) for kind in (IS_TICKER, IS_DEAD_SPAN, IS_UNREAD)
    )
    dead_letters = tickers_in(dead)
    # now() is the start of the transaction.
    statements.execute("SELECT nextval(pg_get_serial_sequence('batches', 'id')), now()")
    batch_id, now = statements.fetchone() or ()
    newest = newest_of(good)
    written = upsert(statements, newest, batch_id)
    without_candle = merge_candles(statements, good, now, candles_kept)
    reading = reading_of(rows)
    statements.execute(
        "INSERT INTO batches (id, rows_written, rows_refused, dead_letters, without_candle,"
        " reading, offsets, started_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            batch_id,
            written,
            newest.height - written,
            dead_letters,
            without_candle,
            json.dumps(reading),
            json.dumps(by_topic(reached)),
            now,
        ),
    )
    statements.execute("SELECT pg_notify('live_prices', %s)", (str(batch_id),))
    counts = {
        "ticks": tickers_in(good) + dead_letters,
        "written": written,
        "refused": newest.height - written,
        "dead": dead_letters,
        "unread": tickers_in(unread),
        "without_candle": without_candle,
    }
    return Written(counts, reading, _last_received(good))


def newest_of(tickers: pa.Table) -> pl.DataFrame:
    """Return the newest ticker of each symbol, with columns.TICKER.

    A symbol may have several rows: one per minute, partition and Arrow batch of Spark.
    """
    rows = as_frame(tickers.select([*TICKER]))
    # True for nearly every batch. Sorting the rows takes eight times as long as this check.
    if not rows.select(KEY).is_duplicated().any():
        return rows
    return rows.sort(polars_age_order()).unique(KEY, keep="last")


def upsert(statements: cursor, newest: pl.DataFrame, batch_id: int) -> int:
    """Write the tickers that are newer than their row in live_prices. Return how many were written."""
    copy_into(statements, "incoming", newest)
    statements.execute(UPSERT, {"batch_id": batch_id})
    return statements.rowcount


def _last_received(tickers: pa.Table) -> dict[str, datetime]:
    found = tickers.group_by("exchange").aggregate([("received_at", "max")])
    return {row["exchange"]: row["received_at_max"] for row in found.to_pylist()}
