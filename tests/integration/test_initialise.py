"""`python -m infra initialise`: what lies in services that run already."""

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import psycopg2
import pytest
from confluent_kafka.admin import AdminClient

from core.settings import Settings
from infra.services import kafka, object_store
from infra.stack import Stack
from tests.conftest import settings_on
from tests.sql import rows

TABLES = {"live_prices", "candles_1m", "batches", "kafka_progress", "dead_letters", "instruments"}


@pytest.fixture
def new(stack: Stack) -> Settings:
    """The stack's settings with a database and a bucket that nobody has made yet."""
    name = f"initialised-{uuid4().hex[:8]}"
    return replace(settings_on(stack, name), s3_bucket=name)


def started(settings: Settings) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra", "initialise"],
        env=os.environ | settings.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> list[str]:
    """Which services it found ready."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [line.split(":")[0] for line in output.splitlines()]


def test_two_at_a_time_and_one_more_make_topics_bucket_and_tables_once(
    new: Settings,
) -> None:
    both = [started(new), started(new)]
    assert [told(process) for process in both] == [["kafka", "minio", "postgres"]] * 2

    with closing(psycopg2.connect(new.database_url)) as database:
        database.autocommit = True
        tables = rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {name for (name,) in tables} > TABLES
        with database.cursor() as statements:
            statements.execute("INSERT INTO kafka_progress VALUES ('binance_raw_data', 0, 7)")
        assert told(started(new)) == ["kafka", "minio", "postgres"]
        assert rows(database, "SELECT next_offset FROM kafka_progress") == [(7,)]
    with closing(psycopg2.connect(new.reader_database_url)) as reader:
        assert rows(reader, "SELECT count(*) FROM live_prices") == [(0,)]

    admin = AdminClient({"bootstrap.servers": new.kafka_bootstrap_servers})
    topics = admin.list_topics(timeout=30).topics
    assert {each.topic: len(topics[each.topic].partitions) for each in kafka.TOPICS} == {
        each.topic: each.num_partitions for each in kafka.TOPICS
    }
    store = object_store.client(new)
    rules = object_store.lifecycle_rules(store, new.s3_bucket)
    assert sorted(rule["ID"] for rule in rules) == ["landing-retention", "raw-retention"]
