"""Run `python -m infra initialise`: it creates topics, bucket and tables in running services."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import psycopg2
import pytest
from confluent_kafka.admin import AdminClient

from core.settings import Settings
from infra.services import kafka, object_store
from infra.stack import Stack
from tests.support.postgres import rows
from tests.support.process import run
from tests.support.stacks import settings_on

TABLES = {"live_prices", "candles_1m", "batches", "kafka_progress", "dead_letters", "instruments"}


@pytest.fixture
def new(stack: Stack) -> Settings:
    """The stack's settings with a database and a bucket that do not exist yet."""
    name = f"initialised-{uuid4().hex[:8]}"
    return replace(settings_on(stack, name), s3_bucket=name)


def initialise(settings: Settings) -> list[str]:
    """Run the command. Return the services that it found ready."""
    done = run([sys.executable, "-m", "infra", "initialise"], settings.environment())
    return [line.split(":")[0] for line in done.stdout.splitlines()]


def test_two_at_a_time_and_one_more_make_topics_bucket_and_tables_once(
    new: Settings,
) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(initialise, [new, new]))
    assert found == [["kafka", "minio", "postgres"]] * 2

    with closing(psycopg2.connect(new.database_url)) as database:
        database.autocommit = True
        tables = rows(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {name for (name,) in tables} > TABLES
        with database.cursor() as statements:
            statements.execute("INSERT INTO kafka_progress VALUES ('binance_raw_data', 0, 7)")
        assert initialise(new) == ["kafka", "minio", "postgres"]
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
