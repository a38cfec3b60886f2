"""What passes is tried again: a lost connection, a deadlock, a serialisation failure. The rest is not."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from spark_jobs import postgres_sink
from spark_jobs.items import explode_items
from spark_jobs.normalise import normalise
from spark_jobs.postgres_sink import SecondLiveJobError
from spark_jobs.price_sink import PriceSink
from tests.database import dies_at_commit
from tests.frames import BTCUSDT, item, record, records
from tests.sql import rows

# Raises the error in the first attempts only: a sequence is not rolled back.
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


@pytest.fixture
def sink(database: Settings) -> Iterator[PriceSink]:
    with closing(PriceSink(database.database_url, lambda _places: {})) as opened:
        yield opened


def write(spark: SparkSession, sink: PriceSink, offset: int = 0) -> None:
    ticker = item(BTCUSDT, NOW, E=NOW // 1000)
    batch = records(spark, record([ticker], offset=offset))
    sink.write(batch.transform(explode_items).transform(normalise), offset)


def execute(owner: connection, statement: str) -> None:
    with owner.cursor() as statements:
        statements.execute(statement)


def end_writers(owner: connection) -> None:
    execute(
        owner,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = 'PriceSink' AND datname = current_database()",
    )


def updates(owner: connection) -> list[tuple[int]]:
    return [(count,) for (count,) in rows(owner, "SELECT updates FROM candles_1m")]


@contextmanager
def postgres_away(owner: connection, settings: Settings) -> Iterator[None]:
    """Nobody can connect to the database; its owner's own connection stays."""
    server, _, name = settings.database_url.rpartition("/")
    with closing(psycopg2.connect(f"{server}/postgres")) as elsewhere:
        elsewhere.autocommit = True
        execute(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        end_writers(owner)
        try:
            yield
        finally:
            execute(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.parametrize("code", ["40P01", "40001"], ids=["deadlock", "serialisation failure"])
def test_batch_that_lost_a_conflict_is_written_again(
    spark: SparkSession, sink: PriceSink, owner: connection, code: str
) -> None:
    execute(owner, FAIL_AT_FIRST.format(code=code))
    write(spark, sink)
    assert rows(owner, "SELECT last_value FROM attempts") == [(3,)]
    assert updates(owner) == [(1,)]


def test_lost_connection_is_opened_again_and_nothing_counts_twice(
    spark: SparkSession, sink: PriceSink, owner: connection, database: Settings
) -> None:
    write(spark, sink)
    end_writers(owner)
    write(spark, sink)
    write(spark, sink, offset=1)
    assert updates(owner) == [(2,)]
    with pytest.raises(SecondLiveJobError):
        PriceSink(database.database_url, lambda _places: {})


@pytest.mark.parametrize("arrives", [True, False], ids=["its answer", "it"])
def test_batch_counts_once_when_the_connection_dies_at_its_commit_and_takes_along(
    spark: SparkSession, owner: connection, database: Settings, arrives: bool
) -> None:
    with (
        dies_at_commit(database, arrives=arrives) as (through, is_armed),
        closing(PriceSink(through.database_url, lambda _places: {})) as sink,
    ):
        is_armed.set()
        write(spark, sink)
        assert not is_armed.is_set()
        assert updates(owner) == [(1,)]
        assert rows(owner, "SELECT next_offset FROM kafka_progress") == [(1,)]
        write(spark, sink, offset=1)
    assert updates(owner) == [(2,)]
    assert rows(owner, "SELECT rows_written + rows_refused FROM batches") == [(1,), (1,)]


def test_batch_waits_for_a_postgres_that_is_away(
    spark: SparkSession, sink: PriceSink, owner: connection, database: Settings
) -> None:
    with postgres_away(owner, database):
        writing = threading.Thread(target=write, args=(spark, sink))
        writing.start()
        writing.join(1.0)
        assert writing.is_alive()
    writing.join(20)
    assert updates(owner) == [(1,)]


def test_batch_fails_with_the_cause_when_the_limit_is_over(
    spark: SparkSession,
    sink: PriceSink,
    owner: connection,
    database: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_sink, "RETRY_LIMIT", 1.0)
    with postgres_away(owner, database):
        with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
            write(spark, sink)


def test_stop_does_not_wait_for_a_postgres_that_is_away(
    spark: SparkSession, sink: PriceSink, owner: connection, database: Settings
) -> None:
    failed: list[Exception] = []

    def write_and_fail() -> None:
        try:
            write(spark, sink)
        except psycopg2.OperationalError as error:
            failed.append(error)

    with postgres_away(owner, database):
        writing = threading.Thread(target=write_and_fail)
        writing.start()
        writing.join(1.0)
        began = time.monotonic()
        sink.stop()
        writing.join(10)
    assert time.monotonic() - began < 6
    assert len(failed) == 1


def test_another_job_that_took_over_meanwhile_is_not_disturbed(
    spark: SparkSession, sink: PriceSink, owner: connection, database: Settings
) -> None:
    end_writers(owner)
    with closing(PriceSink(database.database_url, lambda _places: {})):
        with pytest.raises(SecondLiveJobError):
            write(spark, sink)
    assert updates(owner) == []
