"""Run jobs and server behind a pgbouncer in session mode: all guarantees of direct connections hold."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from infra.stack import Stack
from server.state import listener
from spark_jobs.history.rebuilt_tables import RebuiltTables
from spark_jobs.postgres import transaction, upkeep
from spark_jobs.postgres.candle_days import make_days
from spark_jobs.postgres.candle_sorting import sort_a_day
from spark_jobs.postgres.connection import connect
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.transaction import SecondLiveJobError
from tests.support.frames import BTCUSDT, ETHUSDT, item, record, reduced
from tests.support.live_job import wait_for_batch
from tests.support.pgbouncer import Pgbouncer
from tests.support.postgres import SOON, contents, end_sessions, execute, rows
from tests.support.queries import price_sink, write
from tests.support.server import running_server
from tests.support.stacks import unavailable
from tests.support.waiting import DEADLINE, wait_for

TABLES = ("live_prices", "kafka_progress", "dead_letters", "batches")

# Sorting rebuilds the indexes of a day; this function makes that take 30 s per row.
SLOW_TO_SORT = """
CREATE FUNCTION slow(symbol text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = 'upkeep' THEN
        PERFORM pg_sleep(30);
    END IF;
    RETURN symbol;
END $$;
CREATE INDEX ON {table} (slow(symbol))
"""


@pytest.fixture
def sink(pooled: Settings) -> Iterator[PriceSink]:
    with price_sink(pooled) as opened:
        yield opened


def write_one(spark: SparkSession, sink: PriceSink, offset: int) -> None:
    write(spark, sink, record([item(BTCUSDT, E=BTCUSDT["E"] + offset)], offset=offset))


def counted(owner: connection) -> list[tuple[int]]:
    """Return the number of live_prices rows that each batch wrote."""
    return [(count,) for (count,) in rows(owner, "SELECT rows_written FROM batches ORDER BY id")]


def backends(owner: connection) -> set[int]:
    """Return the pids of Postgres's backends for this database, except the test's connection."""
    found = rows(
        owner,
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    return {pid for (pid,) in found}


def lock_holders(owner: connection) -> list[tuple[int]]:
    return rows(
        owner,
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())",
    )


def test_a_batch_counts_once(spark: SparkSession, sink: PriceSink, owner: connection) -> None:
    batch = [record([item(BTCUSDT), 7]), record([item(ETHUSDT)], offset=1)]
    write(spark, sink, *batch)
    before = contents(owner, TABLES)
    write(spark, sink, *batch)
    assert contents(owner, TABLES) == before
    assert counted(owner) == [(2,)]
    assert sink.postgres.progress() == {(BINANCE.raw_topic, 0): 2}


def test_a_server_connection_that_ends_between_batches_costs_nothing(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    for offset in range(3):
        write_one(spark, sink, offset)
        end_sessions(owner, "PriceSink")
    write_one(spark, sink, 2)
    assert counted(owner) == [(1,), (1,), (1,)]
    assert sink.postgres.progress() == {(BINANCE.raw_topic, 0): 3}


def test_a_server_connection_that_ends_within_a_transaction_costs_nothing(
    spark: SparkSession,
    sink: PriceSink,
    direct: Settings,
    owner: connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch = reduced(spark, record([item(BTCUSDT)]))
    waiting = (
        "SELECT application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as pool, closing(psycopg2.connect(direct.database_url)) as other:
        execute(other, "LOCK TABLE batches IN EXCLUSIVE MODE")
        writing = pool.submit(sink.write, batch, 0)
        wait_for(lambda: rows(owner, waiting), lambda found: found == [("PriceSink",)])
        end_sessions(owner, "PriceSink")
        wait_for(lambda: caplog.text, lambda log: "writing to Postgres" in log)
        other.close()
        writing.result(DEADLINE)
    assert counted(owner) == [(1,)]
    assert sink.postgres.progress() == {(BINANCE.raw_topic, 0): 1}


def test_a_pgbouncer_that_is_killed_and_started_again_costs_nothing(
    spark: SparkSession, sink: PriceSink, pgbouncer: Pgbouncer, owner: connection
) -> None:
    write_one(spark, sink, 0)
    pgbouncer.kill()
    batch = reduced(spark, record([item(ETHUSDT)], offset=1))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(sink.write, batch, 1)
        pgbouncer.start()
        writing.result(DEADLINE)
    assert counted(owner) == [(1,), (1,)]


def test_a_batch_waits_for_a_postgres_that_is_unavailable(
    spark: SparkSession,
    sink: PriceSink,
    stack: Stack,
    direct: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_one(spark, sink, 0)
    batch = reduced(spark, record([item(ETHUSDT)], offset=1))
    with ThreadPoolExecutor(1) as pool:
        with unavailable(stack, "postgres"):
            writing = pool.submit(sink.write, batch, 1)
            wait_for(lambda: caplog.text.count("writing to Postgres"), lambda count: count > 2)
            assert not writing.done()
        writing.result(DEADLINE)
    with closing(psycopg2.connect(direct.database_url)) as owner:
        assert counted(owner) == [(1,), (1,)]


def test_a_second_live_job_is_refused_behind_pgbouncer_and_past_it(
    sink: PriceSink, pooled: Settings, direct: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    for settings in (pooled, direct):
        with pytest.raises(SecondLiveJobError):
            PriceSink(settings.database_url)


def test_what_a_job_set_on_a_server_connection_is_gone_for_the_next_job(
    spark: SparkSession, pooled: Settings, owner: connection
) -> None:
    """Lock, temporary tables and search path are reset: the next job gets the same connection."""
    with closing(RebuiltTables(pooled.database_url, timedelta(days=90))):
        ((first,),) = lock_holders(owner)
    wait_for(lambda: lock_holders(owner), lambda found: found == [])
    assert first in backends(owner)
    with price_sink(pooled) as sink:
        assert lock_holders(owner) == [(first,)]
        write_one(spark, sink, 0)
    assert rows(owner, "SELECT symbol FROM public.live_prices") == [("BTCUSDT",)]


def test_connections_of_jobs_notice_a_lost_peer(pooled: Settings) -> None:
    with closing(connect(pooled.database_url, "test")) as opened:
        found = [
            rows(opened, f"SHOW tcp_keepalives_{name}") for name in ("idle", "interval", "count")
        ]
    assert found == [[("10",)], [("5",)], [("3",)]]


def test_the_upkeep_deletes_what_is_too_old(pooled: Settings, owner: connection) -> None:
    for age in (timedelta(days=4), timedelta()):
        execute(
            owner,
            "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, started_at,"
            " committed_at) VALUES (%s, 0, 0, '{}', now(), now() - %s)",
            age.days,
            age,
        )
    with closing(connect(pooled.database_url, "upkeep")) as opened:
        upkeep.one_step(opened)
    assert counted(owner) == [(0,)]


def test_the_sorting_of_candles_ends_when_a_writer_waits(
    pooled: Settings, owner: connection
) -> None:
    day = datetime.now(UTC) - timedelta(days=2)
    table = f"candles_1m_{day:%Y%m%d}"
    with owner.cursor() as statements:
        make_days(statements, [day.date()])
    execute(owner, SLOW_TO_SORT.format(table=table))
    execute(
        owner,
        "INSERT INTO candles_1m VALUES ('binance', 'A', date_trunc('minute', %s), 1, 1, 1, 1, 1, 1, 1)",
        day,
    )
    asleep = "SELECT application_name FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with ThreadPoolExecutor(1) as pool:
        sorting = pool.submit(sort_a_day, pooled.database_url)
        wait_for(lambda: rows(owner, asleep), lambda found: found == [("upkeep",)])
        execute(owner, f"DELETE FROM {table}")
        sorting.result(DEADLINE)
    is_sorted = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND indisclustered"
    assert rows(owner, is_sorted, table) == [(0,)]


def test_the_servers_connection_has_a_statement_timeout_and_is_notified_of_a_batch(
    spark: SparkSession, sink: PriceSink, pooled: Settings
) -> None:
    with closing(listener.connect(pooled.reader_database_url)) as listening:
        execute(listening, listener.LISTEN)
        listening.commit()
        assert rows(listening, "SHOW statement_timeout") == [("5s",)]
        listening.commit()
        write_one(spark, sink, 0)

        def notified() -> list[tuple[str, str]]:
            listening.poll()
            return [(each.channel, each.payload) for each in listening.notifies]

        assert wait_for(notified) == [("live_prices", "1")]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            execute(listening, "DELETE FROM live_prices")


def test_the_server_serves_what_the_live_job_writes(
    spark: SparkSession, sink: PriceSink, pooled: Settings, owner: connection
) -> None:
    with running_server(pooled.reader_database_url) as server:
        wait_for_batch(server, 0)
        write_one(spark, sink, 0)
        wait_for_batch(server, 1)
        assert server.get("/api/prices/binance/BTCUSDT").json()["price"] == "85439.99"
        assert server.get("/api/instruments").json() == {"instruments": []}
        end_sessions(owner, "server")
        end_sessions(owner, "server queries")
        write_one(spark, sink, 1)
        wait_for_batch(server, 2)
        assert server.get("/api/instruments").json() == {"instruments": []}
