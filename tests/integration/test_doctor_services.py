"""Break Kafka's topics, the bucket and the tables for real: make doctor finds each, and nothing before."""

import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import deltalake
import psycopg2
import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg2.extensions import connection

from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS
from exchanges.binance import BINANCE
from infra import paths
from infra.doctor import bucket, clocks, feeds, progress, tables, topics
from infra.doctor.finding import Finding
from infra.doctor.report import Check, checks, lines, results
from infra.doctor.target import Target
from infra.ports import free_ports
from infra.services import kafka, object_store
from infra.stack import Stack
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.raw.names import Name
from spark_jobs.lake.tickers.progress import Progress, commit_properties
from tests.support.kafka import all_ends, configure_topic, delete_records, produce
from tests.support.live_job import write_batch
from tests.support.loopback import http_server
from tests.support.postgres import execute
from tests.support.waiting import wait_for

BEYOND = 10**12
"""An offset that no topic reaches."""


def problems(findings: Iterable[Finding]) -> list[str]:
    return [each.problem for each in findings]


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic of one partition for the test."""
    name = f"doctor-{uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    new = NewTopic(name, 1, 1, config={"message.timestamp.type": "LogAppendTime"})
    admin.create_topics([new])[name].result(timeout=30)
    return name


@pytest.fixture
def altered(settings: Settings) -> Iterator[Callable[[str, str, str], None]]:
    """A function that alters a topic's configuration; the expected value is restored after the test."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    expected = {each.topic: each.config or {} for each in kafka.TOPICS}
    changed: list[tuple[str, str]] = []

    def alter(topic: str, name: str, value: str) -> None:
        changed.append((topic, name))
        configure_topic(admin, topic, name, value)

    yield alter
    for topic, name in changed:
        configure_topic(admin, topic, name, expected[topic][name])


def test_services_as_initialise_makes_them_have_no_finding(lake: Settings, stack: Stack) -> None:
    target = Target(lake, stack)
    found = {
        check.title: problems(check.findings())
        for check in checks(target)
        # Extractors, jobs and exchanges do not run here. Disks, restarts and the clocks in Kafka's
        # records depend on the machine and on other tests.
        if check.title not in {"prices", "Binance", "KuCoin", "disks", "programs"}
        and check.title not in {"live_prices", "raw_archive", "price_history", "clock of Kafka"}
    }
    assert {title: each for title, each in found.items() if each} == {}
    assert {"topics", "rights in Kafka", "migrations", "tables", "lifecycle rules"} <= found.keys()


def test_altered_settings_of_a_topic_are_found_with_the_command_that_restores_them(
    settings: Settings, altered: Callable[[str, str, str], None]
) -> None:
    altered(FEED_EVENTS, "message.timestamp.type", "CreateTime")
    altered(BINANCE.raw_topic, "retention.ms", "1209600000")
    found = [*topics.topics(settings)]
    command = (
        f"{paths.java()} -cp '.tools/jars/kafka/*' kafka.admin.ConfigCommand"
        f" --bootstrap-server {settings.kafka_bootstrap_servers} --alter"
    )
    assert found == [
        Finding(
            "topic binance_raw_data has retention.ms=1209600000, expected 604800000",
            f"{command} --topic binance_raw_data --add-config retention.ms=604800000",
        ),
        Finding(
            "topic feed_events has message.timestamp.type=CreateTime, expected LogAppendTime",
            f"{command} --topic feed_events --add-config message.timestamp.type=LogAppendTime",
        ),
    ]
    for finding in found:
        execute_in_shell(finding.remedy)
    assert wait_for(lambda: [*topics.topics(settings)], lambda left: not left) == []


def execute_in_shell(command: str) -> None:
    done = subprocess.run(command, shell=True, cwd=paths.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_command_for_too_few_partitions_adds_them(
    settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "TOPICS", [NewTopic(topic, 3, 1, config={})])
    (found,) = topics.topics(settings)
    execute_in_shell(found.remedy)
    assert wait_for(lambda: [*topics.topics(settings)], lambda left: not left) == []


def test_command_for_a_kafka_with_logins_names_the_file_of_the_login() -> None:
    settings = Settings(kafka_bootstrap_servers="a:1,b:2", kafka_client_properties="/etc/my login")
    assert topics.kafka_command(settings, "Tool", "--list").endswith(
        " Tool --bootstrap-server a:1,b:2 --command-config '/etc/my login' --list"
    )


def test_missing_topic_and_too_few_partitions_are_found(
    settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [NewTopic(topic, 3, 1, config={}), NewTopic("no-such-topic", 1, 1, config={})]
    monkeypatch.setattr(kafka, "TOPICS", expected)
    found = problems(topics.topics(settings))
    assert f"topic {topic} has 1 partitions, fewer than 3" in found
    assert "topic no-such-topic does not exist, or may not be described" in found
    assert not [each for each in found if "no leader" in each]


def test_dropped_table_is_found(database: Settings, owner: connection) -> None:
    execute(owner, "DROP TABLE dead_letters")
    assert problems(tables.tables(database)) == [
        "the table dead_letters does not exist, though a migration created it"
    ]


def test_table_of_a_migration_that_is_not_applied_is_not_called_lost(
    database: Settings, owner: connection
) -> None:
    execute(owner, "DROP TABLE reading_rules")
    execute(owner, "DELETE FROM _yoyo_migration WHERE migration_id = '0013.reading-rules'")
    found = {result.title: result for result in results(Target(database))}
    assert problems(found["migrations"].findings) == ["migrations not applied: 0013.reading-rules"]
    assert [*lines(found["tables"])] == [
        "-      tables                   not checked: see migrations"
    ]


def test_migration_that_is_missing_or_unknown_is_found(
    database: Settings, owner: connection
) -> None:
    execute(
        owner, "UPDATE _yoyo_migration SET migration_hash = 'x' WHERE migration_id LIKE '0010%'"
    )
    assert problems(tables.migrations(database)) == [
        "migrations not applied: 0010.merged-candles-of-gaps",
        "migrations that this version does not know: 0010.merged-candles-of-gaps",
    ]


def test_database_without_tables_has_one_finding_about_migrations(stack: Stack) -> None:
    name = f"empty_{uuid4().hex[:8]}"
    with closing(psycopg2.connect(stack.settings.database_url)) as server:
        server.autocommit = True
        execute(server, f"CREATE DATABASE {name}")
    url = stack.settings.database_url.rpartition("/")[0] + f"/{name}"
    (found,) = problems(tables.migrations(replace(stack.settings, database_url=url)))
    assert found.startswith("migrations not applied: 0001.live-prices, 0002.")


def test_right_that_was_revoked_is_found(database: Settings, owner: connection) -> None:
    execute(owner, "REVOKE SELECT ON live_prices FROM reader")
    assert problems(tables.rights(database)) == [
        "role reader may not SELECT on the table live_prices"
    ]


def test_wrong_password_is_found_by_setting_and_not_shown(stack: Stack) -> None:
    url = stack.settings.reader_database_url.replace("password123", "tr0ub4dor")
    (found,) = tables.connections(Target(replace(stack.settings, reader_database_url=url), stack))
    assert found.problem.startswith("READER_DATABASE_URL: ")
    assert 'password authentication failed for user "reader"' in found.problem
    assert "tr0ub4dor" not in "".join(found)


def test_lifecycle_rule_that_is_gone_or_differs_is_found(lake: Settings) -> None:
    longer = replace(lake, raw_retention_days=lake.raw_retention_days + 1)
    (differs,) = problems(bucket.lifecycle(longer))
    assert "lacks the lifecycle rule raw-retention, or it differs" in differs
    object_store.client(lake).delete_bucket_lifecycle(Bucket=lake.s3_bucket)
    assert len([*bucket.lifecycle(lake)]) == 2


def test_missing_bucket_and_wrong_keys_are_found(settings: Settings) -> None:
    without = replace(settings, s3_bucket="no-such-bucket")
    assert problems(bucket.connection(Target(without))) == [
        "the bucket no-such-bucket does not exist"
    ]
    wrong = replace(settings, aws_secret_access_key="tr0ub4dor")
    assert problems(bucket.connection(Target(wrong))) == [
        f"the object store refuses access to the bucket {settings.s3_bucket}: HTTP 403"
    ]


def test_store_that_answers_with_a_fault_of_its_own_is_unavailable(settings: Settings) -> None:
    with http_server(lambda: "", status=503) as url:
        assert problems(bucket.connection(Target(replace(settings, s3_endpoint_url=url)))) == [
            f"the object store at {url} is unavailable: HTTP 503"
        ]


def test_probe_of_rights_leaves_nothing_in_the_bucket(lake: Settings) -> None:
    assert [*bucket.rights(lake)] == []
    assert "Contents" not in object_store.client(lake).list_objects_v2(Bucket=lake.s3_bucket)


def test_unread_records_are_found_by_age_and_count(settings: Settings, topic: str) -> None:
    produce(settings, topic, [1], [2], [3])
    compared = partial(progress.compared, settings, (topic,))
    (found,) = problems(compared({(topic, 0): 1}, -1.0))
    assert re.fullmatch(rf"records not read yet: 2 of {topic}; the oldest is \d+ s old", found)
    (never_read,) = problems(compared({}, -1.0))
    assert never_read.startswith(f"records not read yet: 3 of {topic};")
    assert problems(compared({(topic, 0): 1}, 300.0)) == []
    assert problems(compared({(topic, 0): 3}, -1.0)) == []


def test_progress_beyond_the_end_and_records_that_expired_unread_are_found(
    settings: Settings, topic: str
) -> None:
    produce(settings, topic, [1], [2], [3])
    compared = partial(progress.compared, settings, (topic,), lag=60.0)
    (beyond,) = compared({(topic, 0): 4})
    assert beyond.problem == (
        f"{topic}/0 ends at offset 3, but the next to read is 4: Kafka has lost its newest "
        "messages."
    )
    assert beyond.remedy.startswith("make stop-jobs, then see docs/lake.md")
    delete_records(settings, {(topic, 0): 2})
    (expired,) = compared({(topic, 0): 1})
    assert expired.problem.endswith("1 messages have expired unread.")
    assert "make rebuild" in expired.remedy


def test_progress_of_each_sink_is_compared_with_kafka(lake: Settings, owner: connection) -> None:
    raw = BINANCE.raw_topic
    topic_id = topic_ids(lake, [raw])[raw]
    produce(lake, raw, [1], [2])
    end = all_ends(lake)[raw, 0]
    expected = (
        f"{raw}/0 ends at offset {end}, but the next to read is {BEYOND}: Kafka has lost its newest "
        "messages."
    )

    execute(owner, "INSERT INTO kafka_progress VALUES (%s, 0, %s, %s)", raw, BEYOND, topic_id)
    assert expected in problems(progress.live_prices(lake))

    delete_records(lake, {(raw, 0): end})
    name_in_raw(lake, raw, topic_id, last=end - 2)
    lacking = f"{raw}/0: raw/ and Kafka lack the records from offset {end - 1} to {end - 1}"
    assert lacking in problems(progress.raw_archive(lake))

    name_in_raw(lake, raw, topic_id, last=BEYOND - 1)
    assert expected in problems(progress.raw_archive(lake))

    deltalake.write_deltalake(
        f"s3://{lake.s3_bucket}/tickers",
        pa.table({"symbol": ["A"]}),
        commit_properties=commit_properties(
            Progress("doctor", 1, {(raw, 0): BEYOND}, {raw: topic_id})
        ),
        storage_options=object_store.storage_options(lake),
    )
    assert expected in problems(progress.price_history(lake))


def name_in_raw(lake: Settings, topic: str, topic_id: str, last: int) -> None:
    """Put an empty object into raw/ that is named as if it had partition 0 up to the offset `last`."""
    name = Name({0: (0, last)}, topic_id).file
    key = f"raw/topic={topic}/date={datetime.now(UTC):%Y-%m-%d}/hour=0/{name}"
    object_store.client(lake).put_object(Bucket=lake.s3_bucket, Key=key, Body=b"")


def test_candles_of_the_exchanges_may_wait_longer_than_prices(lake: Settings) -> None:
    produce(lake, EXCHANGE_CANDLES, [1])
    unread = f"of {EXCHANGE_CANDLES};"
    assert not any(unread in each for each in problems(progress.live_prices(lake, lag=-1.0)))
    assert any(unread in each for each in problems(progress.live_prices(lake, candles_lag=-1.0)))


def test_topic_that_was_created_again_is_found_and_its_former_offsets_are_not_compared(
    lake: Settings, owner: connection
) -> None:
    execute(
        owner, "INSERT INTO kafka_progress VALUES (%s, 0, 1000000000, 'former')", BINANCE.raw_topic
    )
    found = [*progress.live_prices(lake)]
    assert found[0].problem.startswith(
        "topic binance_raw_data was created again: kafka_progress holds"
    )
    assert found[0].remedy == "make accept-topics"
    assert not any(BINANCE.raw_topic in each.problem for each in found[1:])


def test_extractor_whose_clock_is_ahead_of_kafkas_is_found(settings: Settings, topic: str) -> None:
    produce(settings, topic, [{"received_at": round(time.time() * 1e6)}])
    assert problems(clocks.kafka_clock(settings, [topic])) == []
    produce(settings, topic, [{"received_at": round((time.time() + 3600) * 1e6)}])
    (found,) = problems(clocks.kafka_clock(settings, [topic]))
    ahead = re.fullmatch(r"an extractor's clock is ([\d.]+) s ahead of Kafka's", found)
    assert ahead is not None
    assert 3500 < float(ahead[1]) <= 3600


def test_old_prices_dead_letters_and_interruptions_are_found(
    database: Settings, owner: connection
) -> None:
    execute(
        owner,
        "INSERT INTO live_prices (exchange, symbol, price, event_time, sequence, received_at, topic,"
        ' partition, "offset", position, batch_id) VALUES'
        " ('binance', 'A', 1, now(), 1, now() - interval '1 hour', 't', 0, 0, 0, 1)",
    )
    execute(
        owner,
        "INSERT INTO dead_letter_spans VALUES ('t', 0, 'no price', 5, 5, 1, '\\x', now(), now()),"
        " ('t', 0, 'no price', 9, 9, 1, '\\x', now(), now() - interval '2 hours')",
    )
    execute(
        owner,
        "INSERT INTO feed_events VALUES"
        " ('kucoin', 'h', 'interruption', 'silence', '2026-11-27T10:00Z', '2026-11-27T11:00Z', 0),"
        " ('kucoin', 'h', 'interruption', 'closed', '2026-11-27T12:00Z', NULL, 0)",
    )
    of_binance, of_kucoin = problems(feeds.prices(database))
    assert re.fullmatch(r"the newest price of binance is 36\d\d s old, the limit 30", of_binance)
    assert of_kucoin == "there are no prices of kucoin"
    assert problems(feeds.dead_letters(database)) == [
        "1 items of t could not be read, the newest in the last hour: no price"
    ]
    assert problems(feeds.interruptions(database)) == [
        "no tickers of kucoin since 2026-11-27 12:00:00 UTC: closed"
    ]


def test_exchange_most_of_whose_items_have_no_price_is_found(
    database: Settings,
) -> None:
    assert problems(feeds.unreadable(database)) == []
    unread = {"price is absent": {"count": 9}}
    reading = {"kucoin": {"tickers": 3, "dead_letters": {}, "unread": unread}}
    write_batch(database.database_url, [], reading)
    assert problems(feeds.unreadable(database)) == [
        "75% of the items of kucoin could not be read in the last minute: price is absent"
    ]


def test_without_a_service_its_checks_are_skipped_and_the_others_done(settings: Settings) -> None:
    (port,) = free_ports(1)
    broken = replace(settings, kafka_bootstrap_servers=f"127.0.0.1:{port}")
    found = {result.title: result for result in results(Target(broken))}
    assert found["Kafka"].findings[0].problem == f"Kafka at 127.0.0.1:{port} is unavailable"
    assert [*lines(found["topics"])] == ["-      topics                   not checked: see Kafka"]
    assert [*lines(found["migrations"])] == ["ok     migrations"]
    # Two of the three services are up, so their ports are not another program's.
    assert "ports" not in found


def test_error_during_a_check_is_a_finding(database: Settings, owner: connection) -> None:
    execute(owner, "DROP TABLE live_prices CASCADE")
    (check,) = (each for each in checks(Target(database)) if each.title == "prices")
    assert isinstance(check, Check)
    with pytest.raises(psycopg2.Error):
        [*check.findings()]
    (found,) = (each for each in results(Target(database)) if each.title == "prices")
    assert found.findings[0].problem.startswith("could not be checked: UndefinedTable: relation")
