"""Retry a batch after a lost connection, a deadlock or a serialisation failure; it counts once."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from spark_jobs.postgres import transaction
from spark_jobs.postgres.kafka_progress import ProgressError
from spark_jobs.postgres.price_sink import TABLES, PriceSink
from spark_jobs.postgres.transaction import SecondLiveJobError
from spark_jobs.run.metrics import JobMetrics
from tests.support.frames import BTCUSDT, item, record, reduced
from tests.support.postgres import (
    SOON,
    dies_at_commit,
    end_sessions,
    execute,
    no_connections,
    of_postgres,
    rows,
)
from tests.support.queries import price_sink
from tests.support.waiting import DEADLINE, pass_time, wait_for

# Raises the error in the first two attempts only: a sequence is not rolled back.
FAIL_AT_FIRST = """
CREATE SEQUENCE attempts;
CREATE FUNCTION fail_at_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('attempts') <= 2 THEN
        RAISE EXCEPTION 'made by the test' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail_at_first BEFORE INSERT ON batches FOR EACH ROW EXECUTE FUNCTION fail_at_first();
"""


NOW = time.time_ns() // 1000


def write_one(spark: SparkSession, sink: PriceSink, offset: int = 0) -> None:
    ticker = item(BTCUSDT, NOW, E=NOW // 1000)
    sink.write(reduced(spark, record([ticker], offset=offset)), offset)


def end_writers(owner: connection) -> None:
    end_sessions(owner, "PriceSink")


def updates(owner: connection) -> list[tuple[int]]:
    return [(count,) for (count,) in rows(owner, "SELECT updates FROM candles_1m")]


def postgres_away(owner: connection, database: Settings) -> AbstractContextManager[None]:
    """Refuse all new connections to the database; keep the owner's connection."""
    return no_connections(database, owner.info.dbname, kept=owner)


@pytest.mark.parametrize("code", ["40P01", "40001"], ids=["deadlock", "serialisation failure"])
def test_batch_that_lost_a_conflict_is_written_again_and_each_failure_is_counted(
    spark: SparkSession, sink: PriceSink, owner: connection, code: str
) -> None:
    metrics = JobMetrics()
    sink.report_to(metrics)
    execute(owner, FAIL_AT_FIRST.format(code=code))
    write_one(spark, sink)
    failed = metrics.registry.get_sample_value(
        "job_failed_attempts_total", {"query": "live_prices"}
    )
    assert failed == 2
    assert rows(owner, "SELECT last_value FROM attempts") == [(3,)]
    assert updates(owner) == [(1,)]


def test_lost_connection_is_opened_again_and_nothing_counts_twice(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_one(spark, sink)
    end_writers(owner)
    write_one(spark, sink)
    write_one(spark, sink, offset=1)
    assert updates(owner) == [(2,)]
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    with pytest.raises(SecondLiveJobError):
        PriceSink(database.database_url)


@pytest.mark.parametrize("arrives", [True, False], ids=["answer lost", "commit lost"])
def test_batch_counts_once_when_the_connection_dies_at_its_commit(
    spark: SparkSession, owner: connection, database: Settings, arrives: bool
) -> None:
    with (
        dies_at_commit(database, arrives=arrives) as (through, is_armed),
        price_sink(through) as sink,
    ):
        is_armed.set()
        write_one(spark, sink)
        assert not is_armed.is_set()
        assert updates(owner) == [(1,)]
        assert rows(owner, "SELECT next_offset FROM kafka_progress") == [(1,)]
        write_one(spark, sink, offset=1)
    assert updates(owner) == [(2,)]
    assert rows(owner, "SELECT rows_written + rows_refused FROM batches") == [(1,), (1,)]


def test_batch_waits_for_a_postgres_that_is_away(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with postgres_away(owner, database):
            writing = pool.submit(write_one, spark, sink)
            wait_for(lambda: caplog.text, lambda log: "not currently accepting" in log)
            assert not writing.done()
        writing.result(DEADLINE)
    assert updates(owner) == [(1,)]


def test_batch_fails_with_the_cause_when_the_limit_is_over(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transaction, "RETRY_LIMIT", 1.0)
    with postgres_away(owner, database):
        with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
            write_one(spark, sink)


def test_stop_does_not_wait_for_a_postgres_that_is_away(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Without the stop, the next attempt would come after the test's deadline.
    monkeypatch.setattr(transaction, "FIRST_DELAY", 2 * DEADLINE)
    monkeypatch.setattr(transaction, "RETRY_LIMIT", 4 * DEADLINE)
    with ThreadPoolExecutor(1) as pool, postgres_away(owner, database):
        writing = pool.submit(write_one, spark, sink)
        wait_for(lambda: caplog.text, lambda log: "writing to Postgres" in log)
        assert not writing.done()
        sink.stop()
        with pytest.raises(transaction.TRANSIENT_ERRORS):
            writing.result(DEADLINE)


def test_another_job_that_took_over_meanwhile_is_not_disturbed(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transaction, "LOST_LOCK_LIMIT", SOON)
    end_writers(owner)
    with price_sink(database):
        with pytest.raises(SecondLiveJobError):
            write_one(spark, sink)
    assert updates(owner) == []


def test_lock_of_its_own_lost_connection_is_waited_for(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`lost` stands for the sink's former backend, whose end Postgres has not noticed yet."""
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    end_writers(owner)
    with ThreadPoolExecutor(1) as pool, closing(psycopg2.connect(database.database_url)) as lost:
        rows(lost, "SELECT pg_advisory_lock(%s)", TABLES.lock)
        writing = pool.submit(write_one, spark, sink)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: rows(owner, waiting), lambda found: found == [(1,)])
        pass_time(10 * SOON.total_seconds())
        assert not writing.done()
        lost.close()
        writing.result(DEADLINE)
    assert updates(owner) == [(1,)]


def restore(owner: connection, database: Settings, dump: Path) -> None:
    end_writers(owner)
    execute(owner, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    of_postgres("psql", database, "--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump)


def test_restored_dump_ends_the_job_and_the_next_one_resumes_where_postgres_says(
    spark: SparkSession, sink: PriceSink, owner: connection, database: Settings, tmp_path: Path
) -> None:
    write_one(spark, sink)
    dump = tmp_path / "dump.sql"
    of_postgres("pg_dump", database, "--file", dump)
    write_one(spark, sink, offset=1)
    restore(owner, database, dump)
    said = "next_offset 1 for binance_raw_data/0, but this job has committed 2"
    with pytest.raises(ProgressError, match=said):
        write_one(spark, sink, offset=2)
    assert updates(owner) == [(1,)]
    sink.close()
    with price_sink(database) as next_start:
        assert next_start.postgres.progress() == {(BINANCE.raw_topic, 0): 1}
        write_one(spark, next_start, offset=1)
    assert updates(owner) == [(2,)]


def test_restored_dump_is_noticed_although_the_last_commit_was_not_answered(
    spark: SparkSession, owner: connection, database: Settings, tmp_path: Path
) -> None:
    with (
        dies_at_commit(database, arrives=True) as (through, is_armed),
        price_sink(through) as sink,
    ):
        write_one(spark, sink)
        dump = tmp_path / "dump.sql"
        of_postgres("pg_dump", database, "--file", dump)
        is_armed.set()
        write_one(spark, sink, offset=1)
        assert not is_armed.is_set()
        restore(owner, database, dump)
        said = "next_offset 1 for binance_raw_data/0, but this job has committed 2"
        with pytest.raises(ProgressError, match=said):
            write_one(spark, sink, offset=2)
    assert updates(owner) == [(1,)]
