"""Kill the application at chosen and random moments and stop MinIO: the lake holds each record once.

`make soak-lake` runs longer: KILLS (default 2), OUTAGE_SECONDS of each of two outages (default 3).
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.services import object_store
from infra.stack import Stack
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.jobs import supervised
from tests.support.kafka import Topic, place, produce, sent_to
from tests.support.lake import archived, tickers
from tests.support.process import Process
from tests.support.stacks import unavailable
from tests.support.waiting import Value, pass_time, shown, wait_for

pytestmark = pytest.mark.fault

KILLS = int(os.environ.get("KILLS", "2"))
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))
OUTAGES_AFTER = {KILLS // 3, 2 * KILLS // 3}
DEADLINE = 240.0


class Jobs:
    """The application; `run_until` starts it, and restarts it when it exits, as a supervisor does."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._environment = settings.environment()
        self._log = folder / "jobs.log"
        self._process: Process | None = None

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def kill(self) -> None:
        """Kill the JVM and its Python child with SIGKILL."""
        if self._process is not None:
            self._process.kill()

    def run_until(
        self,
        read: Callable[[], Value],
        is_expected: Callable[[Value], object] = bool,
        pause: float = 0.02,
    ) -> Value:
        def read_from_running() -> Value:
            if self._process is None or not self._process.is_running():
                self._process = Process(
                    supervised("spark_jobs/jobs.py"), self._log, self._environment
                )
            return read()

        return wait_for(read_from_running, is_expected, deadline=DEADLINE, pause=pause)


@pytest.fixture
def jobs(lake: Settings, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(lake, tmp_path)
    yield jobs
    jobs.kill()
    print(shown(jobs.log()))


@contextmanager
def load(settings: Settings) -> Iterator[None]:
    """Send up to 20 messages/s to each topic, each with two tickers and a bad item."""
    ended = Event()

    def send() -> None:
        for number in itertools.count():
            if ended.wait(0.05):
                return
            for topic, frame in ((BINANCE.raw_topic, BTCUSDT), (KUCOIN.raw_topic, CRO_USDT)):
                now = time.time_ns() // 1000
                message = [item(frame, now), "bad", item(frame, now)]
                produce(settings, topic, message, partition=number % 4)

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Bucket:
    def __init__(self, settings: Settings) -> None:
        self._name = settings.s3_bucket
        self._store: S3Client = object_store.client(settings, attempts=5)

    def keys(self, prefix: str) -> set[str]:
        pages = self._store.get_paginator("list_objects_v2").paginate(
            Bucket=self._name, Prefix=prefix
        )
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def staged(self) -> set[str]:
        """Return the keys that the archive has staged but not yet moved to raw/."""
        return self.keys("staging/")

    def data_files(self) -> set[str]:
        """Return the tickers table's data files, including those that no commit names yet."""
        return {key for key in self.keys("tickers/") if key.endswith(".parquet")}

    def staged_whole(self) -> set[str]:
        return {key for key in self.staged() if key.endswith("/_SUCCESS")}


def moments(bucket: Bucket) -> Iterator[Callable[[], object]]:
    """Yield when to kill: writing parquet, before the Delta commit, moving to raw/, at random."""
    random = Random(7)
    while True:
        yield appearing(bucket.staged)
        yield appearing(bucket.data_files)
        yield appearing(bucket.staged_whole)
        yield partial(is_past, time.monotonic() + random.uniform(5, 30))


def appearing(read: Callable[[], set[str]]) -> Callable[[], set[str]]:
    """Return a function that returns only new keys: absent now, or seen deleted and then created again."""
    left = read()

    def found() -> set[str]:
        present = read()
        left.intersection_update(present)
        return present - left

    return found


def is_past(end: float) -> bool:
    return time.monotonic() > end


def test_the_lake_holds_exactly_the_records_of_the_topics(
    stack: Stack, lake: Settings, jobs: Jobs
) -> None:
    bucket = Bucket(lake)
    topics = [Topic(lake, name) for name in EXCHANGE_OF_TOPIC]
    with load(lake):
        for number, moment in enumerate(itertools.islice(moments(bucket), KILLS)):
            jobs.run_until(moment)
            jobs.kill()
            if number in OUTAGES_AFTER:
                # Start the outage within a batch.
                jobs.run_until(appearing(bucket.staged))
                with unavailable(stack, "minio"):
                    pass_time(OUTAGE_SECONDS)

    sent = sent_to(topics)
    records = sorted((*place(message), message.value(), message.key()) for message in sent)
    starts = {place(message)[:2]: place(message)[2] for message in reversed(sent)}
    items = sorted((*place(message), position) for message in sent for position in (0, 2))

    def own(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return this test's rows; lower offsets belong to other tests."""
        return [row for row in rows if row[2] >= starts[row[:2]]]

    ends = {place(message) for message in sent}
    jobs.run_until(lambda: ends - {row[:3] for row in archived(lake, "raw")}, is_empty, pause=1)
    jobs.run_until(lambda: set(items) - set(tickers(lake)), is_empty, pause=1)
    jobs.kill()
    everything = archived(lake, "raw")
    assert own(everything) == records
    assert len({row[:3] for row in everything}) == len(everything)
    assert own(tickers(lake)) == items
    assert [key for key in bucket.keys("raw/") if not key.endswith(".parquet")] == []


def is_empty(missing: set[tuple[Any, ...]]) -> bool:
    return not missing
