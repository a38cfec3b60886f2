"""Run the jobs' queries as real streams from the real Kafka."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import lake_query
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.run.runner import fresh_checkpoint
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item
from tests.support.kafka import all_ends, produce
from tests.support.lake import archived
from tests.support.postgres import rows, start_at
from tests.support.queries import run_live_prices, run_once


@pytest.fixture
def ends(settings: Settings) -> Offsets:
    """End offsets of the topics before the test; lower offsets belong to other tests."""
    return all_ends(settings)


@pytest.fixture
def database_at_ends(owner: connection, database: Settings, ends: Offsets) -> Settings:
    """A database whose progress is at the topics' ends."""
    start_at(owner, ends)
    return database


def stream(spark: SparkSession, settings: Settings, progress: Offsets) -> DataFrame:
    return kafka_records(spark, settings, EXCHANGE_OF_TOPIC, progress)


def test_prices_of_both_topics_reach_postgres_and_bad_messages_stop_nothing(
    spark: SparkSession,
    database_at_ends: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    unreadable = item(ETHUSDT, c="abc")
    produce(database_at_ends, BINANCE.raw_topic, b"no JSON", [item(BTCUSDT), "bad", unreadable])
    produce(database_at_ends, KUCOIN.raw_topic, [item(CRO_USDT)], partition=3)
    run_live_prices(spark, database_at_ends, tmp_path)
    assert rows(owner, "SELECT exchange, symbol, price, endpoint FROM live_prices ORDER BY 1") == [
        ("binance", "BTCUSDT", Decimal("85439.99"), "127.0.0.1:8090"),
        ("kucoin", "CRO-USDT", Decimal("0.10604"), "127.0.0.1:8090"),
    ]
    payloads = rows(owner, 'SELECT payload FROM dead_letters ORDER BY "offset", position')
    assert [bytes(payload) for (payload,) in payloads[:2]] == [b"no JSON", b'"bad"']
    assert rows(owner, 'SELECT reason FROM dead_letters ORDER BY "offset", position') == [
        ("the message is no JSON array",),
        ("the item is no JSON object",),
        ("price can't be read: abc",),
    ]


def test_a_job_that_lost_its_checkpoint_goes_on_where_postgres_says(
    spark: SparkSession,
    database_at_ends: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    produce(database_at_ends, BINANCE.raw_topic, [item(BTCUSDT), 7], partition=1)
    run_live_prices(spark, database_at_ends, tmp_path / "first")
    produce(database_at_ends, BINANCE.raw_topic, [item(ETHUSDT)], partition=1)
    run_live_prices(spark, database_at_ends, tmp_path / "second")
    counts = "SELECT rows_written, rows_refused, dead_letters FROM batches ORDER BY id"
    assert rows(owner, counts) == [(1, 0, 1), (1, 0, 0)]
    assert rows(owner, "SELECT symbol FROM live_prices ORDER BY 1") == [("BTCUSDT",), ("ETHUSDT",)]


def test_a_job_that_finds_nothing_new_changes_nothing(
    spark: SparkSession, database_at_ends: Settings, owner: connection, tmp_path: Path
) -> None:
    produce(database_at_ends, BINANCE.raw_topic, [item(BTCUSDT)], partition=2)
    run_live_prices(spark, database_at_ends, tmp_path / "first")
    before = rows(owner, "SELECT t::text FROM live_prices t")
    run_live_prices(spark, database_at_ends, tmp_path / "second")
    assert rows(owner, "SELECT t::text FROM live_prices t") == before
    assert rows(owner, "SELECT count(*) FROM batches") == [(1,)]


def test_a_topic_that_does_not_exist_is_refused_by_name(
    spark: SparkSession, settings: Settings
) -> None:
    with pytest.raises(OffsetError, match="topic no_such_topic"):
        kafka_records(spark, settings, ["no_such_topic"], {})


def test_the_archive_holds_every_record_as_it_was_and_resumes_after_the_offsets_in_its_names(
    spark: SparkSession, settings: Settings, ends: Offsets, tmp_path: Path
) -> None:
    archive = Archive(spark, f"s3a://{settings.s3_bucket}/test-archive")
    ids = topic_ids(settings, EXCHANGE_OF_TOPIC)
    runs: list[list[Any]] = [[b"no JSON", [item(BTCUSDT)]], [[item(ETHUSDT)], b""]]
    for number, values in enumerate(runs):
        produce(settings, BINANCE.raw_topic, *values)
        produce(settings, KUCOIN.raw_topic, [item(CRO_USDT)], partition=3)
        progress = {**ends, **archive.resume(ends, ids)}
        checkpoint = fresh_checkpoint(str(tmp_path / str(number)), "raw_archive")
        run_once(lake_query(stream(spark, settings, progress), archive, checkpoint))

    binance_end, kucoin_end = ends[BINANCE.raw_topic, 0], ends[KUCOIN.raw_topic, 3]
    reached = {(BINANCE.raw_topic, 0): binance_end + 4, (KUCOIN.raw_topic, 3): kucoin_end + 2}
    assert archive.progress() == reached
    assert archive.resume(ends, ids) == reached
    records = archived(settings, "test-archive/raw")
    binance = [row for row in records if row[0] == BINANCE.raw_topic]
    assert [row[2:] for row in binance] == [
        (binance_end + n, value if isinstance(value, bytes) else json.dumps(value).encode(), b"key")
        for n, value in enumerate(value for values in runs for value in values)
    ]
    assert [row[1:3] for row in records if row[0] == KUCOIN.raw_topic] == [
        (3, kucoin_end),
        (3, kucoin_end + 1),
    ]
