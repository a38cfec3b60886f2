"""Run the live job as a separate process, as a supervisor does, with a real Kafka and Postgres."""

import re
import signal
import time
from contextlib import AbstractContextManager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from psycopg2.extensions import connection

from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS, INSTRUMENTS
from exchanges.kucoin import KUCOIN
from infra.stack import Stack
from spark_jobs.postgres.candle_days import RETENTION, make_days
from tests.support.consumer_groups import described
from tests.support.frames import CRO_USDT, item
from tests.support.jobs import supervised
from tests.support.kafka import produce
from tests.support.postgres import contents, end_sessions, execute, rows
from tests.support.process import Process, running
from tests.support.small_messages import SEEN_AT, feed_event, instrument
from tests.support.stacks import unavailable
from tests.support.waiting import pass_time

pytestmark = pytest.mark.fault

DEADLINE = 120.0
OUTAGE_SECONDS = 2.0

TABLES = ("instruments", "feed_events", "dead_letters")
EXCHANGE = "an exchange of this test"
LATER = SEEN_AT + 1_000_000
NOW = time.time_ns() // 1000
TOO_OLD = date.today() - RETENTION - timedelta(days=2)


def live_job(database: Settings, folder: Path) -> AbstractContextManager[Process]:
    environment = database.environment() | {"CHECKPOINT_DIR": str(folder)}
    return running(Process(supervised("spark_jobs/live_prices.py"), folder / "log", environment))


def statuses(owner: connection) -> dict[str, str]:
    query = "SELECT symbol, status FROM instruments WHERE exchange = %s"
    return dict(rows(owner, query, EXCHANGE))


def partitions(owner: connection) -> list[str]:
    found = rows(owner, "SELECT inhrelid::regclass::text FROM pg_inherits")
    return [name for (name,) in found]


def symbols(owner: connection) -> list[str]:
    return [symbol for (symbol,) in rows(owner, "SELECT symbol FROM live_prices")]


def metrics(database: Settings) -> str:
    address = f"http://127.0.0.1:{database.live_prices_metrics_port}/metrics"
    return requests.get(address, timeout=DEADLINE).text


def reported(text: str) -> bool:
    """Return whether the metrics show kucoin's newest price and no lag."""
    return (
        'job_newest_price_timestamp_seconds{exchange="kucoin"}' in text
        and 'job_lag_messages{query="live_prices"} 0.0' in text
    )


def test_instruments_events_and_prices_survive_kill_9_and_sigterm_ends_in_order(
    stack: Stack, database: Settings, owner: connection, tmp_path: Path
) -> None:
    halted = instrument(exchange=EXCHANGE, symbol="币USDT", status="HALT", seen_at=LATER)
    produce(database, INSTRUMENTS, halted)
    produce(database, FEED_EVENTS, feed_event(exchange=EXCHANGE), b"no JSON")
    produce(database, KUCOIN.raw_topic, [item({**CRO_USDT, "subject": "KILL-USDT"}, NOW)])
    with owner.cursor() as statements:
        make_days(statements, [TOO_OLD])
    with live_job(database, tmp_path) as job:
        job.wait_for(
            lambda: statuses(owner), lambda found: found == {"币USDT": "HALT"}, deadline=DEADLINE
        )
        produce(database, FEED_EVENTS, feed_event(exchange=EXCHANGE, end=LATER, frames=3))
        trading = [instrument(exchange=EXCHANGE, symbol=symbol) for symbol in ("币USDT", "LAST")]
        produce(database, INSTRUMENTS, *trading)
        job.wait_for(lambda: statuses(owner), lambda found: "LAST" in found, deadline=DEADLINE)
        job.wait_for(lambda: symbols(owner), lambda found: "KILL-USDT" in found, deadline=DEADLINE)
        job.wait_for(
            lambda: partitions(owner),
            lambda found: f"candles_1m_{TOO_OLD:%Y%m%d}" not in found,
            deadline=DEADLINE,
        )
        job.kill()

    candle = "SELECT close, updates FROM candles_1m WHERE symbol = 'KILL-USDT'"
    assert rows(owner, candle) == [(Decimal("0.10604"), 1)]
    before = contents(owner, TABLES)
    # The later message counts, although its extractor's clock was set back.
    assert statuses(owner) == {"币USDT": "TRADING", "LAST": "TRADING"}
    events = 'SELECT kind, reason, "to"::text, frames FROM feed_events WHERE exchange = %s'
    assert rows(owner, events, EXCHANGE) == [
        ("interruption", "silence: no ticker for 10 s", "2025-03-28 07:37:29.467+00", 3)
    ]
    letters = "SELECT reason FROM dead_letters WHERE topic = %s AND payload = %s"
    assert rows(owner, letters, FEED_EVENTS, b"no JSON") == [("the message is no JSON object",)]

    # Undo the commits of the small topics: the job reads both from their start.
    small = [INSTRUMENTS, FEED_EVENTS]
    progress = "SELECT topic, next_offset FROM kafka_progress WHERE topic = ANY(%s) ORDER BY 1"
    reached = rows(owner, progress, small)
    execute(owner, "DELETE FROM kafka_progress WHERE topic = ANY(%s)", small)
    with live_job(database, tmp_path) as job:
        job.wait_for(
            lambda: rows(owner, progress, small), lambda found: found == reached, deadline=DEADLINE
        )
        assert contents(owner, TABLES) == before

        # The same process resumes after a Kafka outage and a lost connection to Postgres.
        with unavailable(stack, "kafka"):
            end_sessions(owner, "PriceSink")
            pass_time(OUTAGE_SECONDS)
        produce(database, KUCOIN.raw_topic, [item({**CRO_USDT, "subject": "BACK-USDT"}, NOW)])
        job.wait_for(lambda: symbols(owner), lambda found: "BACK-USDT" in found, deadline=DEADLINE)
        # A batch is reported after it is committed.
        job.wait_for(lambda: metrics(database), reported, deadline=DEADLINE)
        job.signal(signal.SIGTERM)
        assert job.wait(DEADLINE) == 0
    # Kafka's own tool shows what the job has committed, although Kafka was unavailable for a time.
    stored = rows(owner, "SELECT topic, partition, next_offset FROM kafka_progress")
    shown = [described(database, group) for group in ("live_prices", "small_topics")]
    assert {(*place, offset) for each in shown for place, (offset, _lag) in each.items()} == {
        row for row in stored if row[0] != EXCHANGE_CANDLES
    }
    log = job.log()
    assert "ended queries=exchange_candles,live_prices,small_topics" in log
    assert re.search(
        r"query=live_prices batch=\d+ messages=1 ticks=1 written=1 refused=0 dead=0", log
    )
    assert "level=WARNING logger=spark_jobs.postgres.transaction writing to Postgres failed " in log


def test_ctrl_c_ends_the_job_without_an_error(
    database: Settings, owner: connection, tmp_path: Path
) -> None:
    """A terminal sends SIGINT to every process of the job."""
    produce(database, KUCOIN.raw_topic, [item(CRO_USDT, NOW)])
    with live_job(database, tmp_path) as job:
        job.wait_for(lambda: symbols(owner), deadline=DEADLINE)
        job.signal(signal.SIGINT)
        assert job.wait(DEADLINE) == 0
    assert "ended queries=exchange_candles,live_prices,small_topics" in job.log()
    assert "Traceback" not in job.log()


def test_a_query_that_fails_ends_the_job_with_its_error(
    database: Settings, owner: connection, tmp_path: Path
) -> None:
    execute(owner, "ALTER TABLE instruments ADD CONSTRAINT no_test CHECK (status <> 'TEST')")
    produce(database, INSTRUMENTS, instrument(exchange="another", status="TEST"))
    with live_job(database, tmp_path) as job:
        assert job.wait(DEADLINE) == 1
    assert 'violates check constraint "no_test"' in job.log()
    assert rows(owner, "SELECT FROM instruments WHERE exchange = 'another'") == []
