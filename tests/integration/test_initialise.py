"""Run `python -m infra initialise`: it creates topics, bucket and tables in running services."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest
from confluent_kafka.admin import AdminClient

from core.settings import Settings
from infra.services import kafka, object_store, postgres, ticker_table
from infra.stack import Stack, StackError
from infra.up import print_advice
from tests.support.own_minio import own_minio
from tests.support.postgres import rows
from tests.support.process import run
from tests.support.stacks import settings_on
from tests.support.waiting import wait_for

TABLES = {"live_prices", "candles_1m", "batches", "kafka_progress", "dead_letters", "instruments"}


@pytest.fixture
def new(stack: Stack) -> Settings:
    """The stack's settings with a database and a bucket that do not exist yet."""
    name = f"initialised-{uuid4().hex[:8]}"
    return replace(settings_on(stack, name), s3_bucket=name)


def initialise(settings: Settings, **environment: str) -> list[str]:
    """Run the command. Return the services that it found ready."""
    command = [sys.executable, "-m", "infra", "initialise"]
    done = run(command, settings.environment() | environment)
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


def test_services_on_this_machine_are_reached_without_the_proxy(new: Settings) -> None:
    no_server = "http://127.0.0.1:9"
    assert initialise(new, HTTP_PROXY=no_server, HTTPS_PROXY=no_server) == [
        "kafka",
        "minio",
        "postgres",
    ]


def test_one_role_for_jobs_and_server_is_refused_before_anything_is_changed(
    database: Settings,
) -> None:
    same = replace(database, reader_database_url=database.database_url)
    with pytest.raises(StackError, match="READER_DATABASE_URL has the role of DATABASE_URL"):
        postgres.initialise(same)
    with closing(psycopg2.connect(database.database_url)) as owner:
        assert rows(owner, "SHOW default_transaction_read_only") == [("off",)]


def test_table_that_cannot_be_read_does_not_prevent_the_start(
    lake: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    store = object_store.client(lake)
    for version in (0, 1):
        key = f"tickers/_delta_log/{version:020}.json"
        store.put_object(Bucket=lake.s3_bucket, Key=key, Body=b"{")
    print_advice(lake)
    printed = capsys.readouterr().out
    assert printed.startswith("rows of earlier versions: not checked: ")
    assert printed.endswith(". make doctor looks for the cause\n")


def refusal(settings: Settings) -> str:
    """Return the error with which the store refuses to open a table."""
    with pytest.raises(OSError) as refused:
        ticker_table.opened(settings)
    return str(refused.value)


def test_bucket_is_made_in_the_region_that_the_store_requires(
    tmp_path: Path, new: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon refuses a signature for another region; so does MinIO with a region of its own."""
    with own_minio(tmp_path, new, region="eu-central-1") as settings:
        # MinIO is alive before it has read its region.
        wait_for(lambda: refusal(settings), lambda text: "AuthorizationHeaderMalformed" in text)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        assert object_store.is_ready(settings)
        object_store.initialise(settings)
        object_store.initialise(settings)
        store = object_store.client(settings)
        assert len(object_store.lifecycle_rules(store, settings.s3_bucket)) == 2
        assert ticker_table.opened(settings) is None
