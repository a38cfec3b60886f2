"""Each job on a Spark cluster: two workers, so two executors, neither of which is the driver."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Message, Producer
from psycopg2.extensions import connection

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, EXCHANGE_OF_TOPIC, KUCOIN_RAW_DATA
from infra import places
from infra.ports import free_ports
from infra.spark_cluster import executors, spark_cluster, submit
from infra.up import wait_until
from tests.frames import BTCUSDT, CRO_USDT, item
from tests.lake import archived, tickers
from tests.plain_tables import CANDLES, LIVE, candles, newest, tickers_of
from tests.raw_topics import expire_all
from tests.sql import rows
from tests.topic import Topic

WORKERS = 2
JOBS = ("live_prices", "raw_archive", "price_history")
DEADLINE = 120.0
# A JVM that lives for seconds spends them on its compiler.
JAVA = "-XX:TieredStopAtLevel=1 -Duser.timezone=UTC"
QUICK = [f"--driver-java-options={JAVA}", f"--conf=spark.executor.extraJavaOptions={JAVA}"]
# In microseconds: some whole minute of late, so that the candles do not depend on when the test began.
BEGAN = (time.time_ns() // 60_000_000_000 - 2) * 60_000_000


def send(settings: Settings, count: int) -> None:
    """So many times a message of three tickers to both topics, over all partitions."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for number in range(count):
        at = BEGAN + 250_000 * number
        binance = [
            item(BTCUSDT, at + n, s=f"{'ABC'[n]}{number % 5}USDT", c=f"{number}.{n}", E=at // 1000)
            for n in range(3)
        ]
        kucoin = [
            {
                **item(CRO_USDT, at + n, price=f"{number}.{n}", sequence=str(number)),
                "subject": f"{n}-BTC",
            }
            for n in range(3)
        ]
        for topic, message in ((BINANCE_RAW_DATA, binance), (KUCOIN_RAW_DATA, kucoin)):
            producer.produce(topic, json.dumps(message), b"key", number % 4)
    assert producer.flush(30) == 0


@contextmanager
def running(command: list[str], settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=places.PROJECT,
            env=os.environ | settings.environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)
        print(log.read_text()[-20_000:])


def has_read_all(log: Path, job: str) -> bool:
    """Whether the newest report of the job's query says that nothing is left."""
    return re.findall(rf"query={job} .*lag_messages=(\d+)", log.read_text())[-1:] == ["0"]


def executor_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        # It may have ended meanwhile.
        with suppress(psutil.NoSuchProcess):
            if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in process.cmdline():
                found.append(process)
    return found


def place(message: Message) -> tuple[Any, ...]:
    return message.topic(), message.partition(), message.offset()


def record(message: Message) -> dict[str, Any]:
    names = ("topic", "partition", "offset", "value")
    return dict(zip(names, (*place(message), message.value()), strict=True))


def run_to_the_end(job: str, url: str, settings: Settings, log: Path) -> None:
    """Until it has read all; both executors must have worked, and none have started a Python."""
    (page,) = free_ports(1)
    command = [*submit(url, WORKERS, page), *QUICK, f"spark_jobs/{job}.py"]
    with running(command, settings, log) as process:
        assert wait_until(
            lambda: process.poll() is not None or has_read_all(log, job), deadline=DEADLINE
        )
        assert process.poll() is None
        found = executors(page)
        processes = executor_processes()
        children = [child.name() for each in processes for child in each.children()]
    assert [each["completedTasks"] > 0 for each in found] == [True] * WORKERS
    assert len(processes) == WORKERS
    assert not [name for name in children if name.startswith("python")]


def test_each_job_runs_on_both_workers_and_what_it_writes_equals_what_kafka_holds(
    lake: Settings, owner: connection, tmp_path: Path
) -> None:
    expire_all(lake)
    topics = [Topic(lake, name) for name in EXCHANGE_OF_TOPIC]
    send(lake, 200)
    with spark_cluster(tmp_path / "cluster", WORKERS) as url:
        for job in JOBS:
            run_to_the_end(job, url, lake, tmp_path / f"{job}.log")

    sent = [message for topic in topics for message in topic.messages()]
    assert len(sent) == 400
    written = tickers_of(record(message) for message in sent)
    assert set(rows(owner, LIVE)) == newest(written)
    assert set(rows(owner, CANDLES)) == candles(written)
    assert archived(lake, "raw") == sorted(
        (*place(message), message.value(), message.key()) for message in sent
    )
    assert tickers(lake) == sorted((*place(m), position) for m in sent for position in range(3))
