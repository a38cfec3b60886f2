"""The lake after anything: the application is killed at chosen and at random moments, MinIO goes away.

KILLS and OUTAGE_SECONDS, twice each outage, make it as long as `make soak-lake` wants it.
"""

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, EXCHANGE_OF_TOPIC, KUCOIN_RAW_DATA
from infra import places, supervision
from infra.services import object_store
from infra.stack import Stack
from tests.frames import BTCUSDT, CRO_USDT, item
from tests.lake import archived, tickers
from tests.topic import Topic

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "2"))
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))
DEADLINE = 240.0

COMMAND = [
    "/bin/sh",
    "-c",
    f"trap '' TERM; exec '{places.VENV_BIN / 'spark-submit'}' spark_jobs/jobs.py",
]


class Jobs:
    """The application, as the supervisor keeps it: it is started again when it ends."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._environment = os.environ | settings.environment()
        self.log = folder / "jobs.log"
        self._process: subprocess.Popen[bytes] | None = None

    def keep_running(self) -> None:
        if self._process is None or self._process.poll() is not None:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    COMMAND,
                    cwd=ROOT,
                    env=self._environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def kill(self) -> None:
        """The JVM and its Python child, at once."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(DEADLINE)

    def run_until(self, is_true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not is_true():
            assert time.monotonic() < deadline, "not in time"
            self.keep_running()
            time.sleep(0.02)


@pytest.fixture
def jobs(lake: Settings, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(lake, tmp_path)
    yield jobs
    jobs.kill()
    if jobs.log.exists():
        print(jobs.log.read_text()[-20_000:])


@contextmanager
def load(settings: Settings) -> Iterator[None]:
    """Some 40 messages a second to all partitions of both topics, each with a bad item and two tickers."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    enough = Event()

    def produce() -> None:
        for number in itertools.count():
            if enough.wait(0.05):
                return
            for topic, frame in ((BINANCE_RAW_DATA, BTCUSDT), (KUCOIN_RAW_DATA, CRO_USDT)):
                now = time.time_ns() // 1000
                message = [item(frame, now), "bad", item(frame, now)]
                producer.produce(topic, json.dumps(message), b"key", number % 4)

    thread = Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
        assert producer.flush(30) == 0


def keys(settings: Settings, prefix: str) -> set[str]:
    store = object_store.client(settings, attempts=5)
    pages = store.get_paginator("list_objects_v2").paginate(
        Bucket=settings.s3_bucket, Prefix=prefix
    )
    return {found["Key"] for page in pages for found in page.get("Contents", [])}


def moments(settings: Settings) -> Iterator[Callable[[], bool]]:
    """When to kill: in the parquet write, in the move to raw/, before the Delta commit, at random."""
    random = Random(7)
    while True:
        yield lambda: bool(keys(settings, "staging/"))
        yield partial(has_more, settings, data_files(settings))
        yield lambda: any(key.endswith("/_SUCCESS") for key in keys(settings, "staging/"))
        yield partial(is_over, time.monotonic() + random.uniform(5, 30))


def has_more(settings: Settings, known: set[str]) -> bool:
    return data_files(settings) > known


def is_over(end: float) -> bool:
    return time.monotonic() > end


def data_files(settings: Settings) -> set[str]:
    return {key for key in keys(settings, "tickers/") if key.endswith(".parquet")}


def outage(stack: Stack) -> None:
    supervision.call(stack, "stopProcess", "minio")
    time.sleep(OUTAGE_SECONDS)
    supervision.start_programs(stack, ["minio"])
    deadline = time.monotonic() + DEADLINE
    while not object_store.is_ready(stack.settings):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_lake_holds_exactly_the_records_of_the_topics(
    stack: Stack, lake: Settings, jobs: Jobs
) -> None:
    topics = [Topic(lake, name) for name in EXCHANGE_OF_TOPIC]
    with load(lake):
        for number, moment in enumerate(itertools.islice(moments(lake), KILLS)):
            jobs.run_until(moment)
            jobs.kill()
            if number in (KILLS // 3, 2 * KILLS // 3):
                jobs.keep_running()
                outage(stack)

    sent = [message for topic in topics for message in topic.messages()]
    records = sorted((*place(message), message.value(), message.key()) for message in sent)
    starts = {place(message)[:2]: place(message)[2] for message in reversed(sent)}
    items = sorted((*place(message), position) for message in sent for position in (0, 2))

    def own(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Other tests' messages lie below."""
        return [row for row in rows if row[2] >= starts[row[:2]]]

    ends = {place(message) for message in sent}
    jobs.run_until(lambda: ends <= {row[:3] for row in archived(lake, "raw")})
    jobs.run_until(lambda: len(own(tickers(lake))) >= len(items))
    jobs.kill()
    everything = archived(lake, "raw")
    assert own(everything) == records
    assert len({row[:3] for row in everything}) == len(everything)
    assert own(tickers(lake)) == items
    leftovers = [key for key in keys(lake, "raw/") if not key.endswith((".parquet", "/"))]
    assert leftovers == []


def place(message: Message) -> tuple[str, int, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return topic, partition, offset
