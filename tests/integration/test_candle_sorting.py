"""Sort a finished day of candles while a job that is catching up still writes to it."""

import time
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pyarrow as pa
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from spark_jobs.postgres.candle_days import RETENTION, make_days
from spark_jobs.postgres.candle_sorting import sort_a_day
from spark_jobs.postgres.candles import CREATE_INCOMING_CANDLES, merge_candles
from tests.support.postgres import execute, rows

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
"""A day that ended more than an hour ago, whatever the time is now."""
DAY_TABLE = f"candles_1m_{DAY:%Y%m%d}"
MINUTES = 1440
SYMBOLS = 700
"""Symbols of the day (a million rows): sorting them takes longer than a batch may wait."""

LONGEST_WAIT = 1.0
SECONDS = 6.0

IS_SORTED = (
    f"SELECT count(*) FROM pg_index WHERE indrelid = '{DAY_TABLE}'::regclass AND indisclustered"
)


@pytest.fixture
def a_day(owner: connection) -> None:
    """A finished day, inserted minute by minute, with one ticker in each row."""
    with owner.cursor() as statements:
        make_days(statements, [DAY.date()])
    execute(
        owner,
        "INSERT INTO candles_1m"
        " SELECT 'binance', 'S' || symbol, %s + n * interval '1 minute', 2, 3, 1, 2, n, n, 1"
        f" FROM generate_series(0, {MINUTES - 1}) AS n, generate_series(1, {SYMBOLS}) AS symbol"
        " ORDER BY n",
        DAY,
    )


@pytest.fixture
def job(job: connection) -> connection:
    """A connection like that of the price sink."""
    with job, job.cursor() as statements:
        statements.execute(CREATE_INCOMING_CANDLES)
    return job


def late_candles(minute: datetime) -> pa.Table:
    """Return a candle of this minute, made of one ticker, for each symbol."""
    count = SYMBOLS
    price = pa.array([2] * count, pa.decimal128(38, 18))
    sequence = pa.array([0] * count, pa.int64())
    return pa.table(
        {
            "exchange": ["binance"] * count,
            "symbol": [f"S{number}" for number in range(1, count + 1)],
            "minute": pa.array([minute] * count, pa.timestamp("us", "UTC")),
            **dict.fromkeys(("open", "high", "low", "close"), price),
            **dict.fromkeys(("open_sequence", "close_sequence"), sequence),
            "updates": pa.array([1] * count, pa.int32()),
        }
    )


def catch_up(job: connection) -> list[float]:
    """Write late candles of the finished day. Return the duration of each batch, in seconds."""
    took: list[float] = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        batch = late_candles(DAY + timedelta(minutes=len(took) % MINUTES))
        began = time.monotonic()
        with job, job.cursor() as statements:
            merge_candles(statements, batch, datetime.now(UTC), RETENTION)
        took.append(time.monotonic() - began)
    return took


@pytest.mark.alone
@pytest.mark.usefixtures("a_day")
def test_a_job_that_catches_up_never_waits_for_the_sorting(
    owner: connection, job: connection, database: Settings
) -> None:
    ended = Event()

    def sort() -> None:
        while not ended.is_set():
            sort_a_day(database.database_url)

    upkeep = Thread(target=sort)
    upkeep.start()
    try:
        took = catch_up(job)
    finally:
        ended.set()
        upkeep.join()
    print(f"{len(took)} batches, the longest took {max(took):.2f} s")
    assert max(took) < LONGEST_WAIT
    # All batches are stored, although sorting was cancelled.
    stored = f"SELECT sum(updates)::int FROM {DAY_TABLE}"
    assert rows(owner, stored) == [(SYMBOLS * (MINUTES + len(took)),)]

    sort_a_day(database.database_url)
    assert rows(owner, IS_SORTED) == [(1,)]
    assert rows(owner, stored) == [(SYMBOLS * (MINUTES + len(took)),)]
