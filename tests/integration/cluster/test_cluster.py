"""Run each job on a Spark cluster of two workers, so with two executors outside the driver.

Their Python has none of the project's packages: the job brings them in the archive that
`make executor-packages` builds.
"""

import json
import re
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from confluent_kafka import Message
from psycopg2.extensions import connection

from core.message import candles_message
from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra import paths
from infra.ports import free_ports
from infra.spark_cluster import executors, spark_cluster, submit
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.jobs import JAVA
from tests.support.kafka import Topic, expire_all, place, produce, sent_to
from tests.support.lake import archived, tickers
from tests.support.plain_tables import CANDLES, LIVE, candles, newest, tickers_of
from tests.support.postgres import rows
from tests.support.process import Process, running
from tests.support.waiting import wait_for

WORKERS = 2
JOBS = ("live_prices", "raw_archive", "price_history")
DEADLINE = 240.0
QUICK = [
    f"--driver-java-options={JAVA}",
    f"--conf=spark.executor.extraJavaOptions={JAVA}",
    # By default, a job that waits for executors starts after 30 s with those that have registered.
    f"--conf=spark.scheduler.maxRegisteredResourcesWaitingTime={DEADLINE:.0f}s",
]
TRADES = "SELECT trades FROM exchange_candles"
PLAIN_PYTHON = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = [
    f"--archives={paths.EXECUTOR_PACKAGES}#packages",
    "--conf=spark.executorEnv.PYTHONPATH=packages",
    f"--conf=spark.pyspark.python={PLAIN_PYTHON}",
    f"--conf=spark.pyspark.driver.python={paths.VENV_BIN / 'python'}",
]
# Microseconds: the start of a past minute, so that candles do not depend on when the test starts.
BEGAN = (time.time_ns() // 60_000_000_000 - 2) * 60_000_000


def send(settings: Settings, count: int) -> None:
    """Send `count` messages of three tickers to each topic, over all partitions."""
    messages = [messages_at(number) for number in range(count)]
    for topic, sent in zip(
        (BINANCE.raw_topic, KUCOIN.raw_topic), zip(*messages, strict=True), strict=True
    ):
        for partition in range(4):
            produce(settings, topic, *sent[partition::4], partition=partition)


def send_candle(settings: Settings) -> None:
    """Send a candle of the exchange's own, which the live job reads in a separate query."""
    span = {"from": BEGAN, "to": BEGAN + 60_000_000, "received_at": time.time_ns() // 1000}
    request = {"exchange": "binance", "symbol": "BTCUSDT", "interval": "1m", "reason": None}
    kline = [BEGAN // 1000, "1", "3", "0.5", "2", "10", 0, "20.5", 7, "0", "0", "0"]
    produce(settings, EXCHANGE_CANDLES, candles_message({**request, **span}, json.dumps([kline])))


def messages_at(number: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one message of each exchange."""
    at = BEGAN + 250_000 * number
    binance = [
        item(BTCUSDT, at + n, s=f"{'ABC'[n]}{number % 5}USDT", c=f"{number + 1}.{n}", E=at // 1000)
        for n in range(3)
    ]
    kucoin = [
        {
            **item(CRO_USDT, at + n, price=f"{number + 1}.{n}", sequence=str(number)),
            "subject": f"{n}-BTC",
        }
        for n in range(3)
    ]
    return binance, kucoin


def lag_of(job: str, log: str) -> list[str]:
    """Return the lag in the newest report of the job's query, if there is a report."""
    return re.findall(rf"query={job} .*lag_messages=(\d+)", log)[-1:]


def executor_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        # The process may have ended meanwhile.
        with suppress(psutil.NoSuchProcess):
            if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in process.cmdline():
                found.append(process)
    return found


def record(message: Message) -> dict[str, Any]:
    names = ("topic", "partition", "offset", "value")
    return dict(zip(names, (*place(message), message.value()), strict=True))


class Submitted(NamedTuple):
    job: str
    process: Process
    page: int


def submitted(job: str, url: str, settings: Settings, folder: Path) -> Submitted:
    (page,) = free_ports(1)
    command = [*submit(url, WORKERS, page), *QUICK, *PACKAGES, f"spark_jobs/{job}.py"]
    # The driver copies the packages to its temporary folder, and leaves them there if it is killed.
    environment = settings.environment() | {"SPARK_SUBMIT_OPTS": f"-Djava.io.tmpdir={folder}"}
    return Submitted(job, Process(command, folder / f"{job}.log", environment), page)


def that_read_all(jobs: list[Submitted]) -> list[Submitted]:
    for each in jobs:
        each.process.assert_running()
    return [each for each in jobs if lag_of(each.job, each.process.log()) == ["0"]]


def assert_both_executors_worked(submitted: Submitted) -> None:
    """Assert that both ran tasks, and that jobs which read tickers used the Python without packages."""
    found = executors(submitted.page)
    processes = executor_processes()
    children = [child.exe() for each in processes for child in each.children()]
    assert [each["completedTasks"] > 0 for each in found] == [True] * WORKERS
    assert len(processes) == WORKERS
    pythons = [] if submitted.job == "raw_archive" else [str(PLAIN_PYTHON.resolve())] * WORKERS
    assert children == pythons


def test_each_job_runs_on_both_workers_and_what_it_writes_equals_what_kafka_holds(
    lake: Settings, owner: connection, tmp_path: Path
) -> None:
    expire_all(lake)
    topics = [Topic(lake, name) for name in EXCHANGE_OF_TOPIC]
    send(lake, 200)
    send_candle(lake)
    with spark_cluster(tmp_path / "cluster", WORKERS) as url, ExitStack() as started:
        # All drivers start at once, but the cluster's two cores run one job at a time.
        jobs = [submitted(job, url, lake, tmp_path) for job in JOBS]
        for each in jobs:
            started.enter_context(running(each.process))
        while jobs:
            done = wait_for(lambda: that_read_all(jobs), deadline=DEADLINE)[0]
            assert_both_executors_worked(done)
            if done.job == "live_prices":
                assert wait_for(lambda: rows(owner, TRADES), deadline=DEADLINE) == [(7,)]
            done.process.kill()
            jobs.remove(done)

    sent = sent_to(topics)
    assert len(sent) == 400
    written = tickers_of(record(message) for message in sent)
    assert set(rows(owner, LIVE)) == newest(written)
    assert set(rows(owner, CANDLES)) == candles(written)
    assert archived(lake, "raw") == sorted(
        (*place(message), message.value(), message.key()) for message in sent
    )
    assert tickers(lake) == sorted((*place(m), position) for m in sent for position in range(3))
