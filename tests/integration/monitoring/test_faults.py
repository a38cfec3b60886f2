"""Cause each fault in a demo, and expect its alert at the webhook.

The rules are those of alerts.yaml, with a `for` of 1 s and some shorter limits. An alert that was open
before the fault does not count.
"""

import operator
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.settings import Settings
from exchanges.kucoin import KUCOIN
from infra import supervision
from infra.monitoring import configuration, monitor
from infra.ports import free_ports
from infra.replay.faults.faults import Drop, Silence, Unreadable
from infra.stack import Stack
from tests.support.alerts import Alert, Webhook, query, quick_rules
from tests.support.extractor import Extractor
from tests.support.frames import CRO_USDT, item
from tests.support.kafka import produce
from tests.support.replay_exchange import clear, inflict
from tests.support.stacks import stopped, unavailable
from tests.support.waiting import wait_for

LIMITS = {
    "KafkaLag": ("60", "30"),
    "JobLag": ("job_lag_limit_seconds", "job_lag_limit_seconds - 240"),
    "LandingLag": ("300", "90"),
}

DEADLINE = 180.0
"""Maximum seconds from a fault, or from its end, to the alert. Some expressions look back a minute."""

GIGABYTE = 10**9


@pytest.fixture(scope="module", autouse=True)
def quick(demo: Stack) -> None:
    """Run Prometheus and Alertmanager with the shorter times, and without what they knew before."""
    supervision.stop_programs(demo, monitor.PROGRAMS)
    shutil.rmtree(demo.folder / "monitoring" / "data", ignore_errors=True)
    prometheus = configuration.prometheus(demo.settings)
    prometheus["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
    alertmanager = configuration.alertmanager(demo.settings)
    alertmanager["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    monitor.write(demo, quick_rules(LIMITS), prometheus, alertmanager)
    monitor.restart(demo)


@pytest.fixture
def expect(receiver: Webhook) -> Callable[..., Alert]:
    """A function that waits for an alert that began after the start of the test."""
    began = datetime.now(UTC)

    def wait_for_alert(name: str, **labels: str) -> Alert:
        def sent() -> list[Alert]:
            alerts = receiver.alerts(name, **labels)
            return [each for each in alerts if datetime.fromisoformat(each["startsAt"]) > began]

        return wait_for(sent, deadline=DEADLINE)[0]

    return wait_for_alert


@contextmanager
def inflicted(stack: Stack, exchange: str, fault: Any) -> Iterator[None]:
    """Inflict a fault on the open connections and on all later ones, and clear it at the end."""
    address = f"127.0.0.1:{stack.settings.exchange_port}"
    inflict(address, exchange, fault, "every")
    inflict(address, exchange, fault, "open")
    try:
        yield
    finally:
        clear(address, exchange)


def test_growing_lag_of_a_job(demo: Stack, expect: Callable[..., Alert]) -> None:
    with (
        closing(psycopg2.connect(demo.settings.database_url)) as blocking,
        blocking.cursor() as one,
    ):
        one.execute("LOCK TABLE live_prices IN EXCLUSIVE MODE")
        expect("JobLag", query="live_prices")


def test_dead_letters(demo: Stack, receiver: Webhook, expect: Callable[..., Alert]) -> None:
    with inflicted(demo, "binance", Unreadable(every=1)):
        alert = expect("DeadLetters", exchange="binance")
    assert alert["labels"]["cause"] == "the extractor could not read this frame"
    assert alert["annotations"]["summary"].startswith("binance sent items that can't be read: the")
    assert not receiver.alerts("MostlyUnreadable")


def test_interruptions(demo: Stack, expect: Callable[..., Alert]) -> None:
    with inflicted(demo, "binance", Drop(after_frames=2)):
        expect("InterruptionsRepeat", exchange="binance")


def test_silent_feed(demo: Stack, receiver: Webhook, expect: Callable[..., Alert]) -> None:
    with inflicted(demo, "kucoin", Silence()):
        expect("FeedSilent", exchange="kucoin")
        expect("PricesOld", exchange="kucoin")
    wait_for(partial(receiver.alerts, "FeedSilent", "resolved"), deadline=DEADLINE)


def test_most_of_a_feed_unreadable(demo: Stack, expect: Callable[..., Alert]) -> None:
    renamed = {f"{name}New": value for name, value in CRO_USDT["data"].items()}

    def send() -> None:
        frame = item({**CRO_USDT, "data": renamed}, time.time_ns() // 1000)
        produce(demo.settings, KUCOIN.raw_topic, [frame] * 1000)

    with stopped(demo, "kucoin"):
        for _ in range(60):
            send()
        expect("MostlyUnreadable", exchange="kucoin")


def test_growing_journal_and_lost_items(
    demo: Stack,
    extractor: Callable[[str, Settings], Extractor],
    expect: Callable[..., Alert],
) -> None:
    [closed] = free_ports(1)
    small = replace(
        demo.settings, kafka_bootstrap_servers=f"127.0.0.1:{closed}", journal_limit_bytes=2_000_000
    )
    with stopped(demo, "kucoin"):
        started = extractor("kucoin", small)
        expect("JournalGrows", exchange="kucoin")
        expect("ItemsLost", exchange="kucoin")
        started.kill()


def test_full_disk(
    demo: Stack,
    extractor: Callable[[str, Settings], Extractor],
    expect: Callable[..., Alert],
    receiver: Webhook,
    tmp_path: Path,
) -> None:
    limit = shutil.disk_usage(tmp_path).free - 2 * GIGABYTE
    with stopped(demo, "binance"):
        started = extractor("binance", replace(demo.settings, journal_limit_bytes=limit))
        started.wait_for(lambda: "connected" in started.log())
        assert started.metric("disk_free_bytes") > limit
        assert not receiver.alerts("DiskFills")
        with (tmp_path / "large").open("wb") as large:
            os.posix_fallocate(large.fileno(), 0, 4 * GIGABYTE)
        try:
            expect("DiskFills", exchange="binance")
        finally:
            (tmp_path / "large").unlink()
        started.kill()


def test_growing_lag_of_kafka(demo: Stack, expect: Callable[..., Alert]) -> None:
    with unavailable(demo, "kafka"):
        expect("KafkaLag", exchange="binance")
        expect("KafkaLag", exchange="kucoin")


def test_growing_lag_of_landing(demo: Stack, expect: Callable[..., Alert]) -> None:
    with unavailable(demo, "minio"):
        expect("LandingLag", exchange="binance")
        expect("LandingLag", exchange="kucoin")


def test_repeated_restarts_of_a_program(demo: Stack, expect: Callable[..., Alert]) -> None:
    port = demo.settings.exchanges["binance"].metrics_port
    series = f'process_start_time_seconds{{instance="127.0.0.1:{port}"}}'

    def start_time() -> float:
        return max((float(each["value"][1]) for each in query(demo, series)), default=0)

    for _ in range(3):
        former = start_time()
        with stopped(demo, "binance"):
            pass
        wait_for(start_time, partial(operator.lt, former))
    expect("ProgramRestarts", job="extractors", instance=f"127.0.0.1:{port}")


def test_failing_batches(demo: Stack, expect: Callable[..., Alert]) -> None:
    with unavailable(demo, "postgres"):
        expect("BatchesFail", query="live_prices")
        expect("DatabaseAway")


def test_stopped_program(demo: Stack, expect: Callable[..., Alert]) -> None:
    with stopped(demo, "server"):
        alert = expect("ProgramDown", job="server")
    address = f"127.0.0.1:{demo.settings.server_port}"
    assert alert["annotations"]["summary"] == f"server at {address} does not answer."
