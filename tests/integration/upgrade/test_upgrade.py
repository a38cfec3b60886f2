"""Carry the data of version 2f1e7d2 over to this version: start it, rebuild the rows, audit them."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import psycopg2
import pytest
from confluent_kafka import KafkaError, Message, Producer

from core.reading_rules import READING_RULES
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from infra import paths, supervision
from infra.services import object_store
from infra.stack import Stack
from infra.up import EXTRACTORS, services_up
from tests.compatibility.kept import Record, Version
from tests.compatibility.make_data import journal_files
from tests.support.kafka import all_ends
from tests.support.own_kafka import configure
from tests.support.postgres import rows
from tests.support.process import run
from tests.support.stacks import KUCOIN_RATE, QUICK_JAVA, own_stack
from tests.support.waiting import wait_for

KEPT = Version(Path(__file__).parent / "data" / "2f1e7d2")

DEADLINE = 900.0
"""Seconds for a command that starts Spark, on two cores that may be busy."""

DAYS = 3650
"""Retention of everything, because the kept data grow old."""

UNDERSTOOD = "SELECT symbol FROM live_prices WHERE symbol IN ('LTCUSDT', 'ODD-USDT', 'XRPUSDT')"
PROGRESS = "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic LIKE '%raw_data'"
RULES = "SELECT exchange, rules, earlier_until FROM reading_rules ORDER BY exchange"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack whose services hold the data as version 2f1e7d2 left them; no other program runs."""
    with own_stack("upgrade") as plain:
        settings = replace(
            plain.settings,
            lake_batch_seconds=1,
            exchange_kucoin_rate=KUCOIN_RATE,
            raw_retention_days=DAYS,
            tickers_retention_days=DAYS,
            candles_retention_days=DAYS,
            landing_retention_days=DAYS,
        )
        stack = replace(plain, settings=settings)
        services_up(stack)
        fill_topics(settings, KEPT.records(EXCHANGE_OF_TOPIC))
        fill_tables(stack)
        fill_bucket(settings)
        shutil.copytree(KEPT.journals, settings.journal_dir)
        yield stack


def fill_topics(settings: Settings, records: list[Record]) -> None:
    """Produce the records with their timestamps, to the offsets that they had."""
    for topic in EXCHANGE_OF_TOPIC:
        configure(settings, topic, "message.timestamp.type", "CreateTime")
        configure(settings, topic, "retention.ms", "-1")
    found: list[tuple[str, int, int]] = []
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        found.append((message.topic() or "", message.partition() or 0, message.offset() or 0))

    for record in records:
        producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            delivered,
            record.timestamp,
            [*record.headers],
        )
    assert producer.flush(60) == 0
    assert sorted(found) == sorted(record.place for record in records)
    for topic in EXCHANGE_OF_TOPIC:
        configure(settings, topic, "message.timestamp.type", "LogAppendTime")


def fill_tables(stack: Stack) -> None:
    """Replace the database by the kept one, which lacks all later migrations."""
    url = stack.settings.database_url
    server, _, name = url.rpartition("/")
    psql = [str(stack.postgres_bin / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    run([*psql, f"{server}/postgres", "--command", f"DROP DATABASE {name}"])
    run([*psql, f"{server}/postgres", "--command", f"CREATE DATABASE {name}"])
    run([*psql, url, "--file", str(KEPT.tables)])


def fill_bucket(settings: Settings) -> None:
    store = object_store.client(settings)
    for prefix in ("landing", "raw", "tickers"):
        objects = KEPT.objects(prefix)
        assert objects, prefix
        for key, content in objects.items():
            store.put_object(Bucket=settings.s3_bucket, Key=key, Body=content)


def infra(stack: Stack, *arguments: str) -> str:
    """Run a command of the Makefile on the stack. Return its output."""
    command = [sys.executable, "-m", "infra", *arguments]
    return run(command, stack.environment() | QUICK_JAVA, deadline=DEADLINE).stdout


def job(stack: Stack, program: str, *, status: int = 0) -> CompletedProcess[str]:
    command = [str(paths.VENV_BIN / "spark-submit"), f"spark_jobs/{program}.py"]
    return run(command, stack.environment() | QUICK_JAVA, status=status, deadline=DEADLINE)


def query(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(stack.settings.database_url)) as database:
        return rows(database, statement)


def wait_for_jobs(stack: Stack) -> None:
    """Wait until the live job has read all messages of stopped extractors, and the lake's jobs as well."""
    ends = {each: end for each, end in all_ends(stack.settings).items() if end}
    wait_for(
        lambda: {(topic, number): end for topic, number, end in query(stack, PROGRESS)},
        lambda progress: progress == ends,
        deadline=DEADLINE,
        pause=0.5,
    )


def differing(audit: str) -> dict[str, int]:
    """Return the number of rows that differ, by table and prefix."""
    return {
        name: int(count)
        for name, count in re.findall(r"^(\S+): \d+ \w+, (\d+) differ", audit, re.M)
    }


def test_data_of_2f1e7d2_are_carried_over_and_rebuilt(stack: Stack) -> None:
    kept_prices = query(stack, UNDERSTOOD)
    assert kept_prices == [("LTCUSDT",)]

    # The start names what earlier rules computed, and the extractors deliver the kept journal.
    printed = infra(stack, "demo")
    assert "tables of binance and tables of kucoin and tickers/: computed by an earlier" in printed
    assert "make rebuild" in printed
    journal = Path(stack.settings.journal_dir)
    kept_segments = {
        path.name for name in EXTRACTORS for path in journal_files(KEPT.journals / name)
    }
    assert kept_segments
    wait_for(
        lambda: (
            kept_segments
            & {path.name for name in EXTRACTORS for path in journal_files(journal / name)}
        ),
        lambda left: not left,
        deadline=DEADLINE,
    )
    supervision.stop_programs(stack, [*EXTRACTORS, "exchange"])
    wait_for_jobs(stack)
    assert query(stack, RULES) == [("binance", 1, None), ("kucoin", 1, None)]
    before = differing(job(stack, "audit", status=1).stdout)
    assert before["dead_letters"] > 0 and before["tickers/"] > 0

    supervision.stop_programs(stack, ["jobs"])
    job(stack, "rebuild")
    assert query(stack, RULES) == [
        ("binance", READING_RULES, None),
        ("kucoin", READING_RULES, None),
    ]
    assert infra(stack, "jobs") == ""
    after = differing(job(stack, "audit").stdout)
    assert after == dict.fromkeys(before, 0)
    assert set(after) == {
        *("live_prices", "candles_1m", "dead_letters", "dead_letter_spans"),
        *("raw/", "tickers/", "landing/"),
    }
