"""Back up and restore bucket and database; restore only one; lose topics, records or files of `tickers/`.

After each, the jobs resume by themselves or by the documented steps. The audit then finds no difference,
except in `raw/` if records expired before they were archived.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import psycopg2
import pytest
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra import backup
from infra.services import object_store
from infra.stack import Stack, StackError
from spark_jobs import raw_archive
from spark_jobs.audit import audit
from spark_jobs.history.rebuilt_tickers import rebuild_tickers
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.kafka_source.topic_ids import TopicError
from spark_jobs.rebuild import rebuild
from spark_jobs.run.runner import Start
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import expire_all, produce
from tests.support.lake import archived, tickers
from tests.support.lake_queries import (
    accept_topics,
    copy,
    delete,
    keys,
    run_all_jobs,
    run_live,
    run_price_history,
    run_raw_archive,
)
from tests.support.own_kafka import OwnKafka
from tests.support.postgres import rows
from tests.support.stacks import new_database
from tests.support.waiting import DEADLINE, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TORN_BYTES = 10
"""Bytes cut from the end of a partition's file: Kafka then discards the last message."""

BUCKETS = itertools.count(1)


@pytest.fixture
def empty(stack: Stack, broker: OwnKafka) -> Settings:
    """Another new database and bucket, with the same Kafka as `own_lake`."""
    settings = replace(
        new_database(stack),
        s3_bucket=f"restored-{next(BUCKETS)}",
        kafka_bootstrap_servers=broker.settings.kafka_bootstrap_servers,
    )
    object_store.initialise(settings)
    return settings


RunJobs = Callable[[Settings], None]


@pytest.fixture
def run_jobs(spark: SparkSession, tmp_path: Path) -> RunJobs:
    """A function that runs all jobs until they have read what is in Kafka."""
    numbers = itertools.count(1)

    def run(settings: Settings) -> None:
        folder = tmp_path / f"jobs-{next(numbers)}"
        run_all_jobs(spark, settings, folder)

    return run


def send(settings: Settings, first: int) -> None:
    """Send two messages of each exchange with increasing prices. Binance's also have a dead letter each."""
    at = time.time_ns() // 1000
    for number in (first, first + 1):
        ticker = item(BTCUSDT, at, E=at // 1000 + number, c=f"{number}.5")
        produce(settings, BINANCE.raw_topic, [ticker, "no item"], partition=number % 2)
        cro = item(CRO_USDT, at, sequence=str(number), price=f"{number}.25")
        produce(settings, KUCOIN.raw_topic, [cro], partition=3)


def back_up_then_send(settings: Settings, run_jobs: RunJobs, folder: Path) -> None:
    """Back up what the jobs have written, and send newer messages, which the back-up lacks."""
    send(settings, 0)
    run_jobs(settings)
    backup.back_up(settings, folder)
    send(settings, 2)


def differences(spark: SparkSession, settings: Settings) -> list[tuple[str, int]]:
    return [(each.table, each.differ) for each in audit(spark, settings)]


NONE = [
    (table, 0)
    for table in (
        *("live_prices", "candles_1m", "dead_letters", "dead_letter_spans"),
        *("raw/", "tickers/"),
    )
]


def newest(settings: Settings) -> list[tuple[str, str]]:
    with closing(psycopg2.connect(settings.database_url)) as database:
        return rows(database, "SELECT symbol, trim_scale(price)::text FROM live_prices ORDER BY 1")


def copy_raw(source: Settings, target: Settings) -> None:
    store = object_store.client(source)
    for key in keys(source, "raw/"):
        store.copy_object(
            Bucket=target.s3_bucket, Key=key, CopySource={"Bucket": source.s3_bucket, "Key": key}
        )


def test_a_back_up_of_running_jobs_is_restored_and_caught_up_from_kafka(
    spark: SparkSession, own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    send(own_lake, 0)
    run_jobs(own_lake)
    send(own_lake, 2)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(backup.back_up, own_lake, tmp_path / "back-up")
        run_jobs(own_lake)
    assert done.result() > 5
    send(own_lake, 4)

    backup.restore(empty, tmp_path / "back-up")
    run_jobs(empty)

    assert newest(empty) == [("BTCUSDT", "5.5"), ("CRO-USDT", "5.25")]
    assert len(tickers(empty)) == 12
    assert differences(spark, empty) == NONE


def test_only_an_empty_stack_is_filled_and_only_from_a_complete_back_up(
    own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    folder = tmp_path / "back-up"
    send(own_lake, 0)
    run_jobs(own_lake)
    backup.back_up(own_lake, folder)
    with pytest.raises(StackError, match="choose a new folder"):
        backup.back_up(own_lake, folder)
    with pytest.raises(StackError, match="the database is not empty"):
        backup.restore(own_lake, folder)
    other = next((folder / "bucket" / "raw").rglob("*.parquet"))
    other.unlink()
    with pytest.raises(StackError, match="the bucket is not empty"):
        backup.restore(own_lake, folder)
    (folder / "database.dump").unlink()
    with pytest.raises(StackError, match="interrupted"):
        backup.restore(empty, folder)
    assert newest(empty) == []


def test_a_back_up_waits_until_no_batch_is_half_published(
    own_lake: Settings, run_jobs: RunJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(own_lake, 0)
    run_jobs(own_lake)
    store, bucket = object_store.client(own_lake), own_lake.s3_bucket
    store.put_object(Bucket=bucket, Key="staging/raw_archive/_SUCCESS", Body=b"")
    with monkeypatch.context() as patch:
        patch.setattr(backup, "LISTING_DEADLINE", 1.0)
        with pytest.raises(StackError, match="make stop-jobs"):
            backup.back_up(own_lake, tmp_path / "refused")
    is_listed, listed_keys = Event(), backup._keys  # noqa: SLF001

    def listing(store: "S3Client", bucket: str, prefix: str = "") -> list[str]:
        found = [*listed_keys(store, bucket, prefix)]
        is_listed.set()
        return found

    monkeypatch.setattr(backup, "_keys", listing)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(backup.back_up, own_lake, tmp_path / "back-up")
        assert is_listed.wait(DEADLINE)
        # The batch's last object appears before its mark is deleted.
        [source, *_] = keys(own_lake, "raw/")
        last = source.replace("/0.", "/7.")
        copy(own_lake, source, last)
        store.delete_object(Bucket=bucket, Key="staging/raw_archive/_SUCCESS")
        done.result()
    assert (tmp_path / "back-up" / "bucket" / last).exists()
    assert not (tmp_path / "back-up" / "bucket" / "staging").exists()


def test_with_kafka_lost_too_the_new_topics_are_accepted_and_nothing_of_the_old_is_lost(
    spark: SparkSession,
    own_lake: Settings,
    empty: Settings,
    broker: OwnKafka,
    run_jobs: RunJobs,
    tmp_path: Path,
) -> None:
    send(own_lake, 0)
    run_jobs(own_lake)
    backup.back_up(own_lake, tmp_path / "back-up")
    broker.renew_topics()
    # As many messages as before: offsets alone would not show that the topics are new.
    send(own_lake, 2)

    backup.restore(empty, tmp_path / "back-up")
    for job in (run_live, run_raw_archive, run_price_history):
        with pytest.raises(TopicError, match="make accept-topics"):
            job(spark, empty, tmp_path / "refused")
    assert accept_topics(spark, empty) == [sorted(EXCHANGE_OF_TOPIC)] * 3
    run_jobs(empty)

    assert newest(empty) == [("BTCUSDT", "3.5"), ("CRO-USDT", "3.25")]
    assert len(tickers(empty)) == len(archived(empty, "raw")) == 8
    assert differences(spark, empty) == NONE

    before = tickers(empty)
    rebuild(spark, empty)
    rebuild_tickers(spark, empty, datetime.now(UTC))
    assert tickers(empty) == before
    assert differences(spark, empty) == NONE


def test_postgres_at_an_older_state_reads_the_rest_from_kafka(
    spark: SparkSession, own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    back_up_then_send(own_lake, run_jobs, tmp_path / "back-up")
    run_jobs(own_lake)

    backup.restore(empty, tmp_path / "back-up")
    older = replace(empty, s3_bucket=own_lake.s3_bucket)
    run_jobs(older)

    assert newest(older) == [("BTCUSDT", "3.5"), ("CRO-USDT", "3.25")]
    assert differences(spark, older) == NONE


def test_postgres_at_an_older_state_reads_what_kafka_no_longer_holds_from_raw_by_a_rebuild(
    spark: SparkSession, own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    back_up_then_send(own_lake, run_jobs, tmp_path / "back-up")
    run_jobs(own_lake)
    expire_all(own_lake)
    send(own_lake, 4)

    backup.restore(empty, tmp_path / "back-up")
    older = replace(empty, s3_bucket=own_lake.s3_bucket)
    with pytest.raises(OffsetError, match=r"have expired unread.*make rebuild"):
        run_live(spark, older, tmp_path / "refused")
    rebuild(spark, older)
    run_jobs(older)

    assert newest(older) == [("BTCUSDT", "5.5"), ("CRO-USDT", "5.25")]
    assert differences(spark, older) == NONE


def test_a_bucket_at_an_older_state_is_caught_up_from_kafka(
    spark: SparkSession, own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    back_up_then_send(own_lake, run_jobs, tmp_path / "back-up")
    run_jobs(own_lake)

    backup.restore(empty, tmp_path / "back-up")
    older = replace(own_lake, s3_bucket=empty.s3_bucket)
    run_jobs(older)

    assert len(tickers(older)) == len(archived(older, "raw")) == 8
    assert differences(spark, older) == NONE


def test_tickers_at_an_older_state_get_what_kafka_no_longer_holds_from_raw_by_a_rebuild(
    spark: SparkSession, own_lake: Settings, empty: Settings, run_jobs: RunJobs, tmp_path: Path
) -> None:
    back_up_then_send(own_lake, run_jobs, tmp_path / "back-up")
    run_jobs(own_lake)
    expire_all(own_lake)
    send(own_lake, 4)

    backup.restore(empty, tmp_path / "back-up")
    older = replace(own_lake, s3_bucket=empty.s3_bucket)
    with pytest.raises(OffsetError, match=r"have expired unread.*make rebuild"):
        run_price_history(spark, older, tmp_path / "refused")
    copy_raw(own_lake, older)
    assert rebuild_tickers(spark, older, datetime.now(UTC))
    run_jobs(older)

    assert len(tickers(older)) == len(archived(older, "raw")) == 12
    assert differences(spark, older) == NONE


def test_after_records_expired_unread_a_rebuild_is_enough_for_all_jobs_to_run(
    spark: SparkSession,
    own_lake: Settings,
    run_jobs: RunJobs,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    send(own_lake, 0)
    run_jobs(own_lake)
    send(own_lake, 2)
    expire_all(own_lake)
    send(own_lake, 4)
    for job in (run_live, run_price_history):
        with pytest.raises(OffsetError, match=r"have expired unread.*make rebuild"):
            job(spark, own_lake, tmp_path / "refused")

    rebuild(spark, own_lake)
    rebuild_tickers(spark, own_lake, datetime.now(UTC))
    caplog.clear()
    run_live(spark, own_lake, tmp_path / "live")
    run_price_history(spark, own_lake, tmp_path / "history")
    with running(raw_archive.start, spark, own_lake):
        wait_for(lambda: len(archived(own_lake, "raw")), lambda count: count == 8)

    assert [row[:3] for row in archived(own_lake, "raw") if row[0] == KUCOIN.raw_topic] == [
        (KUCOIN.raw_topic, 3, offset) for offset in (0, 1, 4, 5)
    ]
    assert len(tickers(own_lake)) == 8
    assert newest(own_lake) == [("BTCUSDT", "5.5"), ("CRO-USDT", "5.25")]
    assert [name for name, differ in differences(spark, own_lake) if differ] == ["raw/"]
    assert losses(caplog) == [
        f"lost topic={BINANCE.raw_topic} partition=0 first=1 last=1 reason='expired unread'",
        f"lost topic={BINANCE.raw_topic} partition=1 first=1 last=1 reason='expired unread'",
        f"lost topic={KUCOIN.raw_topic} partition=3 first=2 last=3 reason='expired unread'",
    ]


def test_after_kafka_lost_its_newest_records_the_documented_steps_make_all_stores_right(
    spark: SparkSession, own_lake: Settings, broker: OwnKafka, run_jobs: RunJobs, tmp_path: Path
) -> None:
    send(own_lake, 0)
    send(own_lake, 2)
    run_jobs(own_lake)
    broker.process.kill()
    for topic in EXCHANGE_OF_TOPIC:
        broker.lose(topic, TORN_BYTES)
    broker.restart()
    for job in (run_live, run_raw_archive, run_price_history):
        with pytest.raises(OffsetError, match=r"lost its newest messages.*docs/lake\.md"):
            job(spark, own_lake, tmp_path / "refused")
    # Others take the places of the lost ones.
    send(own_lake, 4)
    run_jobs(own_lake)
    wrong = {table for table, differ in differences(spark, own_lake) if differ}
    assert {"candles_1m", "raw/", "tickers/"} <= wrong

    for key in keys(own_lake, "raw/"):
        delete(own_lake, key)
    rebuild(spark, own_lake)
    rebuild_tickers(spark, own_lake, datetime.now(UTC))
    run_jobs(own_lake)

    assert newest(own_lake) == [("BTCUSDT", "5.5"), ("CRO-USDT", "5.25")]
    assert len(tickers(own_lake)) == len(archived(own_lake, "raw")) == 9
    assert differences(spark, own_lake) == NONE


def losses(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about lost messages as an error."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.levelno == logging.ERROR and each.getMessage().startswith("lost ")
    ]


@contextmanager
def running(start: Start, spark: SparkSession, settings: Settings) -> Iterator[None]:
    """Run a job's queries for the block, as the runner does."""
    sinks = start(spark, settings)
    try:
        yield
    finally:
        for sink in sinks:
            sink.stop()
        for query in spark.streams.active:
            query.stop()


def test_deleted_files_of_tickers_are_rebuilt_from_kafka(
    spark: SparkSession, own_lake: Settings, run_jobs: RunJobs, caplog: pytest.LogCaptureFixture
) -> None:
    send(own_lake, 0)
    run_jobs(own_lake)
    deleted = next(key for key in keys(own_lake, "tickers/") if "exchange=binance" in key)
    delete(own_lake, deleted)
    assert differences(spark, own_lake) != NONE

    rebuild_tickers(spark, own_lake, datetime.now(UTC))

    assert deleted.removeprefix("tickers/") in caplog.text
    assert len(tickers(own_lake)) == 4
    assert differences(spark, own_lake) == NONE


def test_a_rebuild_names_the_messages_that_are_lost(
    spark: SparkSession,
    own_lake: Settings,
    empty: Settings,
    run_jobs: RunJobs,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    back_up_then_send(own_lake, run_jobs, tmp_path / "back-up")
    expire_all(own_lake)
    send(own_lake, 4)
    backup.restore(empty, tmp_path / "back-up")
    rebuild(spark, empty)
    rebuild_tickers(spark, empty, datetime.now(UTC))
    lost = [each.getMessage() for each in caplog.records if "lost" in each.getMessage()]
    named = f"lost topic={KUCOIN.raw_topic} partition=3 first=2 last=3"
    assert len([message for message in lost if message.startswith(named)]) == 2
