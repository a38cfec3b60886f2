"""The live job as a supervisor runs it: a process of its own, between a real Kafka and a real Postgres."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from confluent_kafka import Producer
from psycopg2.extensions import connection

from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS, KUCOIN_RAW_DATA
from infra import places, supervision
from infra.stack import Stack
from infra.up import services_up, wait_until
from spark_jobs.candle_days import RETENTION, make_days
from tests.frames import CRO_USDT, item
from tests.small_messages import SEEN_AT, feed_event, instrument
from tests.sql import contents, rows

ROOT = Path(__file__).parents[2]
DEADLINE = 120.0
OUTAGE = 5.0

# As in supervisord.conf.
SPARK_SUBMIT = places.VENV_BIN / "spark-submit"
COMMAND = ["/bin/sh", "-c", f"trap '' TERM; exec '{SPARK_SUBMIT}' spark_jobs/live_prices.py"]

TABLES = ("instruments", "feed_events", "dead_letters")
EXCHANGE = "an exchange of this test"
LATER = SEEN_AT + 1_000_000
NOW = time.time_ns() // 1000
TOO_OLD = date.today() - RETENTION - timedelta(days=2)


@contextmanager
def live_job(database: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Started; its log is `<folder>/log`, shown when the test fails. Killed at the end, if it still runs."""
    environment = os.environ | database.environment() | {"CHECKPOINT_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            COMMAND, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        kill(process)
        print((folder / "log").read_text())


def kill(process: subprocess.Popen[bytes]) -> None:
    """The JVM and its Python child, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE)


@pytest.fixture
def produce(settings: Settings) -> Callable[[str, Any], None]:
    """Sends a message, bytes or what becomes JSON, to a topic."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})

    def send(topic: str, message: Any) -> None:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        producer.produce(topic, value, key=b"key")
        assert producer.flush(30) == 0

    return send


def statuses(owner: connection) -> dict[str, str]:
    query = "SELECT symbol, status FROM instruments WHERE exchange = %s"
    return dict(rows(owner, query, EXCHANGE))


def partitions(owner: connection) -> list[str]:
    found = rows(owner, "SELECT inhrelid::regclass::text FROM pg_inherits")
    return [name for (name,) in found]


def eventually(process: subprocess.Popen[bytes], is_true: Callable[[], bool]) -> None:
    assert wait_until(lambda: process.poll() is not None or is_true(), deadline=DEADLINE)
    assert process.poll() is None


def metrics(database: Settings) -> str:
    address = f"http://127.0.0.1:{database.live_prices_metrics_port}/metrics"
    return requests.get(address, timeout=5).text


def cut_connections(owner: connection) -> None:
    query = (
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = %s"
    )
    assert rows(owner, query, "PriceSink") == [(True,)]


def test_instruments_events_and_prices_survive_kill_9_and_sigterm_ends_in_order(
    stack: Stack,
    database: Settings,
    owner: connection,
    produce: Callable[[str, Any], None],
    tmp_path: Path,
) -> None:
    produce(
        INSTRUMENTS, instrument(exchange=EXCHANGE, symbol="币USDT", status="HALT", seen_at=LATER)
    )
    produce(FEED_EVENTS, feed_event(exchange=EXCHANGE))
    produce(FEED_EVENTS, b"no JSON")
    produce(KUCOIN_RAW_DATA, [item({**CRO_USDT, "subject": "KILL-USDT"}, NOW)])
    with owner.cursor() as statements:
        make_days(statements, [TOO_OLD])
    with live_job(database, tmp_path) as job:
        eventually(job, lambda: statuses(owner) == {"币USDT": "HALT"})
        produce(FEED_EVENTS, feed_event(exchange=EXCHANGE, end=LATER, frames=3))
        produce(INSTRUMENTS, instrument(exchange=EXCHANGE, symbol="币USDT"))
        produce(INSTRUMENTS, instrument(exchange=EXCHANGE, symbol="LAST"))
        eventually(job, lambda: "LAST" in statuses(owner))
        eventually(
            job, lambda: bool(rows(owner, "SELECT FROM live_prices WHERE symbol = 'KILL-USDT'"))
        )
        eventually(job, lambda: f"candles_1m_{TOO_OLD:%Y%m%d}" not in partitions(owner))
        kill(job)

    candle = "SELECT close, updates FROM candles_1m WHERE symbol = 'KILL-USDT'"
    assert rows(owner, candle) == [(Decimal("0.10604"), 1)]
    before = contents(owner, TABLES)
    assert statuses(owner) == {"币USDT": "HALT", "LAST": "TRADING"}
    story = 'SELECT kind, reason, "to"::text, frames FROM feed_events WHERE exchange = %s'
    assert rows(owner, story, EXCHANGE) == [
        ("interruption", "silence: no ticker for 10 s", "2025-03-28 07:37:29.467+00", 3)
    ]
    letters = "SELECT reason FROM dead_letters WHERE topic = %s AND payload = %s"
    assert rows(owner, letters, FEED_EVENTS, b"no JSON") == [("the message is no JSON object",)]

    # As if none of it had been committed: it reads both topics from their start.
    progress = "SELECT topic, next_offset FROM kafka_progress WHERE topic = ANY(%s) ORDER BY 1"
    reached = rows(owner, progress, [INSTRUMENTS, FEED_EVENTS])
    with owner.cursor() as statements:
        statements.execute(
            "DELETE FROM kafka_progress WHERE topic = ANY(%s)", ([INSTRUMENTS, FEED_EVENTS],)
        )
    with live_job(database, tmp_path) as job:
        eventually(job, lambda: rows(owner, progress, [INSTRUMENTS, FEED_EVENTS]) == reached)
        assert contents(owner, TABLES) == before

        # Kafka is away for a while, Postgres for a moment: the same process goes on.
        supervision.call(stack, "stopProcess", "kafka")
        cut_connections(owner)
        time.sleep(OUTAGE)
        services_up(stack)
        produce(KUCOIN_RAW_DATA, [item({**CRO_USDT, "subject": "BACK-USDT"}, NOW)])
        eventually(
            job, lambda: bool(rows(owner, "SELECT FROM live_prices WHERE symbol = 'BACK-USDT'"))
        )
        # A batch is reported after it is committed.
        eventually(
            job,
            lambda: (
                'job_newest_price_timestamp_seconds{exchange="kucoin"}' in metrics(database)
                and 'job_lag_messages{query="live_prices"} 0.0' in metrics(database)
            ),
        )
        os.killpg(job.pid, signal.SIGTERM)
        assert job.wait(DEADLINE) == 0
    log = (tmp_path / "log").read_text()
    assert "ended queries=live_prices,small_topics" in log
    assert re.search(
        r"query=live_prices batch=\d+ messages=1 ticks=1 written=1 refused=0 dead=0", log
    )
    assert "level=WARNING logger=spark_jobs.postgres_sink writing to Postgres: " in log


def test_a_query_that_fails_ends_the_job_with_its_error(
    database: Settings, owner: connection, produce: Callable[[str, Any], None], tmp_path: Path
) -> None:
    with owner.cursor() as statements:
        statements.execute(
            "ALTER TABLE instruments ADD CONSTRAINT no_test CHECK (status <> 'TEST')"
        )
    produce(INSTRUMENTS, instrument(exchange="another", status="TEST"))
    with live_job(database, tmp_path) as job:
        assert job.wait(DEADLINE) == 1
    assert 'violates check constraint "no_test"' in (tmp_path / "log").read_text()
    assert rows(owner, "SELECT FROM instruments WHERE exchange = 'another'") == []
