"""Write candles to a real Postgres: merged over batches, stored by day, read at larger intervals."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.kucoin import KUCOIN
from spark_jobs.postgres.candle_days import RETENTION, make_days
from spark_jobs.postgres.candle_sorting import sort_a_day
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.upkeep import one_step
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item, microseconds, record
from tests.support.postgres import execute, rows
from tests.support.queries import write

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


NOW = datetime.now(UTC)
TODAY = midnight()
NOON = TODAY - DAY / 2

DAYS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits"
    " WHERE inhparent = 'candles_1m'::regclass ORDER BY 1"
)
READ = "SELECT * FROM candles(%s, %s, %s, %s, %s)"


def cro(moment: datetime, price: str, sequence: int) -> dict[str, Any]:
    return item(CRO_USDT, microseconds(moment), price=price, sequence=str(sequence))


def btc(event: datetime, receipt: datetime, **changed: Any) -> dict[str, Any]:
    return item(BTCUSDT, microseconds(receipt), E=microseconds(event) // 1000, **changed)


def partition(day: datetime) -> str:
    return f"candles_1m_{day:%Y%m%d}"


def insert_candles(owner: connection, *candles: tuple[datetime, str, str, str, str, int]) -> None:
    """Insert candles of binance's symbol X: minute, open, high, low, close, updates."""
    with owner.cursor() as statements:
        make_days(statements, {candle[0].date() for candle in candles})
    insert = "INSERT INTO candles_1m VALUES ('binance', 'X', %s, %s, %s, %s, %s, 0, 0, %s)"
    for candle in candles:
        execute(owner, insert, *candle)


def test_a_candle_is_merged_from_batches_that_come_in_any_order(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    parts = [
        [cro(NOON, "5", 20), cro(NOON, "7", 25)],
        [cro(NOON, "9", 10), cro(NOON, "1", 11)],
        [cro(NOON, "6", 30), cro(NOON + MINUTE, "6.5", 31)],
        [cro(NOON, "0.000000000000000001", 22)],
    ]
    for offset, items in enumerate(parts):
        write(spark, sink, record(items, KUCOIN.raw_topic, offset=offset))
    assert rows(owner, "SELECT * FROM candles_1m ORDER BY minute") == [
        (
            *("kucoin", "CRO-USDT", NOON),
            *(Decimal(9), Decimal(9), Decimal("0.000000000000000001"), Decimal(6)),
            *(10, 30, 6),
        ),
        ("kucoin", "CRO-USDT", NOON + MINUTE, *[Decimal("6.5")] * 4, 31, 31, 1),
    ]


def test_a_symbol_in_two_partitions_has_one_candle(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        record([cro(NOON, "2", 2)], KUCOIN.raw_topic, partition=0),
        record([cro(NOON, "1", 1), cro(NOON, "3", 2)], KUCOIN.raw_topic, partition=1),
    )
    columns = "open::int, high::int, low::int, close::int, open_sequence, close_sequence, updates"
    assert rows(owner, f"SELECT {columns} FROM candles_1m") == [(1, 3, 1, 3, 1, 2, 3)]


def test_a_batch_has_a_price_for_each_symbol_and_a_candle_for_each_minute(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, record([btc(NOON + n * MINUTE, NOW, c=str(n)) for n in (1, 3, 2)]))
    assert rows(owner, "SELECT price::int FROM live_prices") == [(3,)]
    found = rows(owner, "SELECT minute, close::int FROM candles_1m ORDER BY 1")
    assert found == [(NOON + n * MINUTE, n) for n in (1, 2, 3)]
    assert rows(owner, "SELECT rows_written, rows_refused FROM batches") == [(1, 0)]


def test_an_absurd_event_time_has_a_price_and_no_candle_and_is_counted(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    absurd = [
        *(datetime(year, 5, 5, tzinfo=UTC) for year in range(2001, 2100) if year != NOW.year),
        TODAY - RETENTION - MINUTE,
        NOW + 6 * MINUTE,
    ]
    eth = item(ETHUSDT, microseconds(NOON), E=microseconds(NOON) // 1000)
    items = [btc(moment, NOW, s=f"{n}", c="1") for n, moment in enumerate(absurd)]
    far = microseconds(NOW + 30 * DAY)
    clock_ahead = item(BTCUSDT, far, s="ahead", E=far // 1000)
    write(spark, sink, record([*items, eth, eth, clock_ahead]))
    assert rows(owner, "SELECT count(*) FROM live_prices") == [(len(absurd) + 2,)]
    assert rows(owner, "SELECT symbol, updates FROM candles_1m") == [("ETHUSDT", 2)]
    assert rows(owner, DAYS) == [(partition(NOON),)]
    assert rows(owner, "SELECT without_candle FROM batches") == [(len(absurd) + 1,)]


def test_the_first_and_the_last_day_that_are_kept_have_candles(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    today = midnight()
    first, last = today - RETENTION, today + 2 * DAY - MINUTE
    write(spark, sink, record([btc(first, datetime.now(UTC)), btc(last, last)]))
    assert rows(owner, "SELECT minute FROM candles_1m ORDER BY 1") == [(first,), (last,)]


def test_a_reader_of_candles_does_not_hold_up_a_new_day(
    spark: SparkSession, sink: PriceSink, database: Settings
) -> None:
    with closing(psycopg2.connect(database.reader_database_url)) as reader:
        assert rows(reader, "SELECT count(*) FROM candles_1m") == [(0,)]
        write(spark, sink, record([btc(NOON, NOW)]))
        assert rows(reader, "SELECT symbol FROM candles_1m") == [("BTCUSDT",)]


def test_days_are_dropped_when_they_are_too_old_one_at_a_time(
    owner: connection, job: connection
) -> None:
    kept = midnight() - RETENTION
    with owner.cursor() as statements:
        make_days(statements, [(kept - n * DAY).date() for n in range(3)])
    one_step(job)
    assert rows(owner, DAYS) == [(partition(kept - DAY),), (partition(kept),)]
    one_step(job)
    one_step(job)
    assert rows(owner, DAYS) == [(partition(kept),)]


def test_a_day_that_is_being_read_is_dropped_the_next_time(
    owner: connection, job: connection, database: Settings
) -> None:
    with owner.cursor() as statements:
        make_days(statements, [(midnight() - RETENTION - DAY).date()])
    with closing(psycopg2.connect(database.reader_database_url)) as reader:
        rows(reader, "SELECT count(*) FROM candles_1m")
        one_step(job)
        assert len(rows(owner, DAYS)) == 1
    one_step(job)
    assert rows(owner, DAYS) == []


def test_a_finished_day_is_sorted_by_symbol_and_today_is_not(
    owner: connection, database: Settings
) -> None:
    days = [NOW, NOW - 2 * DAY]
    with owner.cursor() as statements:
        make_days(statements, [day.date() for day in days])
        for day in days:
            for minute in range(3):
                for symbol in ("B", "A"):
                    statements.execute(
                        "INSERT INTO candles_1m VALUES ('binance', %s, %s, 1, 1, 1, 1, 0, 0, 1)",
                        (symbol, day.replace(hour=12) + minute * MINUTE),
                    )
    for _ in range(2):
        sort_a_day(database.database_url)
    stored = "SELECT string_agg(symbol, '' ORDER BY ctid) FROM {}"
    assert rows(owner, stored.format(partition(days[0]))) == [("BABABA",)]
    assert rows(owner, stored.format(partition(days[1]))) == [("AAABBB",)]


def test_larger_candles_are_made_of_the_minutes_that_there_are(owner: connection) -> None:
    insert_candles(
        owner,
        (NOON - MINUTE, "100", "100", "100", "100", 1),
        (NOON + 4 * MINUTE, "2", "2.5", "1.5", "2.2", 3),
        (NOON, "1", "9", "1", "1.1", 2),
        (NOON + 2 * MINUTE, "3", "3", "0.5", "3", 4),
        (NOON + 5 * MINUTE, "7", "8", "6", "7.5", 1),
        (TODAY, "5", "5", "5", "5", 1),
    )
    five = [Decimal(text) for text in ("1", "9", "0.5", "2.2")]
    next_five = [Decimal(text) for text in ("7", "8", "6", "7.5")]
    both = [Decimal(text) for text in ("1", "9", "0.5", "7.5")]
    one = [Decimal(5)] * 4
    span = (NOON, TODAY + DAY)
    for width, expected in {
        "5 minutes": [(NOON, *five, 9), (NOON + 5 * MINUTE, *next_five, 1), (TODAY, *one, 1)],
        "15 minutes": [(NOON, *both, 10), (TODAY, *one, 1)],
        "1 hour": [(NOON, *both, 10), (TODAY, *one, 1)],
        "4 hours": [(NOON, *both, 10), (TODAY, *one, 1)],
        "1 day": [(TODAY - DAY, *both, 10), (TODAY, *one, 1)],
    }.items():
        assert rows(owner, READ, "binance", "X", width, *span) == expected
    assert rows(owner, READ, "kucoin", "X", "1 hour", *span) == []


@pytest.mark.alone
def test_a_month_of_a_symbol_is_read_in_50_ms(owner: connection, database: Settings) -> None:
    """The first day has 2,000 symbols: 2.9 million rows, inserted minute by minute."""
    first = TODAY - 30 * DAY
    with owner.cursor() as statements:
        make_days(statements, [(first + n * DAY).date() for n in range(30)])
        statements.execute(
            "INSERT INTO candles_1m"
            " SELECT 'binance', 'S' || symbol, %(first)s + n * interval '1 minute',"
            " 1 + n, 3 + n, n, 2 + n, n, n, 60"
            " FROM generate_series(0, 43199) AS n,"
            " generate_series(1, CASE WHEN n < 1440 THEN 2000 ELSE 1 END) AS symbol",
            {"first": first},
        )
        for _ in range(30):
            sort_a_day(database.database_url)
        statements.execute("VACUUM ANALYZE candles_1m")
    span = ("binance", "S1", "1 hour", first, TODAY)
    found = rows(owner, READ, *span)
    assert found[1] == (first + timedelta(hours=1), *map(Decimal, (61, 122, 60, 121)), 3600)
    assert len(found) == 720
    plan = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {READ}"

    # The first run reads from the disk, and a shared machine may be slow for a second.
    plans = [rows(owner, plan, *span)[0][0][0] for _ in range(40)]
    assert min(plan["Planning Time"] + plan["Execution Time"] for plan in plans) < 50
