"""Carry the data of version 2f1e7d2 over to this version: start it, rebuild the rows, audit them."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.reading_rules import READING_RULES
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from infra.earlier_rules import advice
from infra.services import object_store
from infra.stack import Stack
from infra.up import initialise
from spark_jobs.audit import audit
from spark_jobs.history.rebuilt_tickers import rebuild_tickers
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.tickers.schema import EARLIER
from spark_jobs.rebuild import rebuild
from tests.compatibility.carry import deliver_journals, restore_tables
from tests.compatibility.kept import Record, Version
from tests.compatibility.records import produce
from tests.support.extractor import Extractor
from tests.support.kafka import expire_all
from tests.support.lake_queries import delete, keys, objects, run_all_jobs
from tests.support.own_kafka import OwnKafka
from tests.support.postgres import execute, rows
from tests.support.stacks import settings_on

KEPT = Version(Path(__file__).parent / "data" / "2f1e7d2")

DAYS = 3650
"""Retention of everything, because the kept data grow old."""

RULES = "SELECT exchange, rules FROM reading_rules ORDER BY exchange"
MARKS = "SELECT exchange, earlier_until IS NOT NULL FROM reading_rules ORDER BY exchange"
ODD = "SELECT trim_scale(price)::text FROM live_prices WHERE symbol = 'ODD-USDT'"


@pytest.fixture
def carried(stack: Stack, broker: OwnKafka, tmp_path: Path) -> Settings:
    """Return the settings of services that hold the data as version 2f1e7d2 left them.

    No later migration has run.
    """
    settings = replace(
        settings_on(stack, "kept_2f1e7d2"),
        kafka_bootstrap_servers=broker.settings.kafka_bootstrap_servers,
        s3_bucket="kept-2f1e7d2",
        checkpoint_dir=str(tmp_path / "checkpoints"),
        journal_dir=str(tmp_path / "journal"),
        raw_retention_days=DAYS,
        tickers_retention_days=DAYS,
        candles_retention_days=DAYS,
        landing_retention_days=DAYS,
    )
    fill_topics(broker, KEPT.records(EXCHANGE_OF_TOPIC))
    restore_tables(stack, settings, KEPT)
    fill_bucket(settings)
    shutil.copytree(KEPT.journals, settings.journal_dir)
    return settings


@pytest.fixture
def owner(carried: Settings) -> Iterator[connection]:
    with closing(psycopg2.connect(carried.database_url)) as opened:
        opened.autocommit = True
        yield opened


def fill_topics(broker: OwnKafka, records: list[Record]) -> None:
    """Produce the records with their timestamps, to the offsets that they had."""
    for topic in EXCHANGE_OF_TOPIC:
        broker.configure(topic, "retention.ms", "-1")
        broker.configure(topic, "message.timestamp.type", "CreateTime")
    moved = produce(broker.settings, records)
    assert all(before == after for before, after in moved.items())
    for topic in EXCHANGE_OF_TOPIC:
        broker.configure(topic, "message.timestamp.type", "LogAppendTime")


def fill_bucket(settings: Settings) -> None:
    object_store.initialise(settings)
    store = object_store.client(settings)
    for each in objects(settings):
        delete(settings, each["Key"])
    for prefix in ("landing", "raw", "tickers"):
        kept = KEPT.objects(prefix)
        assert kept, prefix
        for key, content in kept.items():
            store.put_object(Bucket=settings.s3_bucket, Key=key, Body=content)


def differences(spark: SparkSession, settings: Settings) -> dict[str, int]:
    """Return the number of rows or minutes that differ, by table and prefix."""
    return {each.table: each.differ for each in audit(spark, settings)}


def test_its_data_are_carried_over_and_its_rows_computed_again(
    spark: SparkSession,
    carried: Settings,
    owner: connection,
    extractor: Callable[[str, Settings], Extractor],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    initialise(carried, "")
    said = "tables of binance and tables of kucoin and tickers/: computed by an earlier version"
    assert said in capsys.readouterr().out
    deliver_journals(carried, extractor)
    run_all_jobs(spark, carried, tmp_path / "jobs")
    assert rows(owner, RULES) == [("binance", 1), ("kucoin", 1)]
    assert rows(owner, ODD) == [("0",)]
    before = differences(spark, carried)
    assert set(before) == {
        *("live_prices", "candles_1m", "dead_letters", "dead_letter_spans"),
        *("raw/", "tickers/", "landing/"),
    }
    assert before["live_prices"] > 0 and before["candles_1m"] > 0 and before["tickers/"] > 0
    assert before["raw/"] == before["landing/"] == 0

    rebuild(spark, carried)
    assert advice(carried).startswith("tickers/: ")
    rebuild_tickers(spark, carried, datetime.now(UTC))

    assert differences(spark, carried) == dict.fromkeys(before, 0)
    assert rows(owner, ODD) == [("0.10604",)]
    assert rows(owner, RULES) == [("binance", READING_RULES), ("kucoin", READING_RULES)]
    assert rows(owner, MARKS) == [("binance", False), ("kucoin", False)]
    assert advice(carried) == ""


def test_rows_that_can_not_be_computed_again_are_marked(
    spark: SparkSession, carried: Settings, owner: connection, tmp_path: Path
) -> None:
    initialise(carried, "")
    run_all_jobs(spark, carried, tmp_path / "jobs")
    [first] = [key for key in keys(carried, "raw/") if BINANCE.raw_topic in key and "/0.0-" in key]
    delete(carried, first)
    expire_all(carried)
    rebuild(spark, carried)
    rebuild_tickers(spark, carried, datetime.now(UTC))

    assert rows(owner, RULES) == [("binance", READING_RULES), ("kucoin", READING_RULES)]
    assert rows(owner, MARKS) == [("binance", True), ("kucoin", False)]
    path = f"{lake_root(carried)}/tickers"
    table = deltalake.DeltaTable(path, storage_options=delta_options(spark, path))
    marked = json.loads(table.metadata().configuration[EARLIER])
    assert marked[BINANCE.raw_topic]["0"] > 0
    # A rebuild with the same rules leaves the marks, and sets none.
    rebuild(spark, carried)
    assert rows(owner, MARKS) == [("binance", True), ("kucoin", False)]
    execute(owner, "UPDATE reading_rules SET earlier_until = NULL WHERE exchange = 'binance'")
    rebuild(spark, carried)
    assert rows(owner, MARKS) == [("binance", False), ("kucoin", False)]
