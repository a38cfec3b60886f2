"""The driver killed with -9, again and again: the tables are those that Kafka's messages make, row by row."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import psycopg2
import pytest

from infra import places, supervision
from infra.stack import Stack, stack_on_free_ports
from infra.up import EXTRACTORS, wait_until
from tests.integration.conftest import end_and_delete
from tests.plain_tables import CANDLES, LIVE, candles, newest, tickers_of
from tests.raw_topics import all_messages, ends
from tests.sql import rows

SECONDS = float(os.environ.get("SECONDS_OF_KILLS", "10"))
KILLS = int(os.environ.get("KILLS", "2"))
DEADLINE = 120.0

PROGRESS = "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic LIKE '%raw_data'"


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    stack = stack_on_free_ports("tests/kills")
    try:
        run(stack, sys.executable, "-m", "infra", "demo")
        yield stack
    finally:
        end_and_delete(stack)


def run(stack: Stack, *command: str) -> str:
    """What it prints. Fails where it fails."""
    done = subprocess.run(
        command,
        cwd=places.PROJECT,
        env=os.environ | stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def query(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.settings.database_url)) as database:
        return rows(database, statement)


def last_batch(stack: Stack) -> int:
    ((number,),) = query(stack, "SELECT max(id) FROM batches")
    return int(number)


def wait_for_batches(stack: Stack) -> None:
    """Until the live job writes: after a kill, the one that was started anew."""
    before = last_batch(stack)
    assert wait_until(lambda: last_batch(stack) > before + 1, deadline=DEADLINE)


def writer(stack: Stack) -> psutil.Process:
    """The Python process that writes prices: the one with that connection to Postgres."""
    ((port,),) = query(
        stack, "SELECT client_port FROM pg_stat_activity WHERE application_name = 'PriceSink'"
    )
    (pid,) = {
        found.pid
        for found in psutil.net_connections("tcp")
        if found.pid and found.raddr and found.laddr and found.laddr.port == port
    }
    return psutil.Process(pid)


def test_after_any_kills_the_tables_equal_a_fresh_computation_from_kafka(demo: Stack) -> None:
    began = time.monotonic()
    for number, moment in enumerate(sorted(random.uniform(0, SECONDS) for _ in range(KILLS))):
        wait_for_batches(demo)
        # At any point of a batch.
        time.sleep(max(began + moment - time.monotonic(), random.uniform(0, 1)))
        python = writer(demo)
        driver = python.parent()
        assert driver is not None and driver.name() == "java"
        for process in (driver, python) if number % 2 == 0 else (driver,):
            process.send_signal(signal.SIGKILL)
        _gone, alive = psutil.wait_procs([python], timeout=DEADLINE)
        assert not alive, "a driver's Python child outlived it"
    wait_for_batches(demo)
    time.sleep(max(0.0, began + SECONDS - time.monotonic()))
    supervision.stop_programs(demo, [*EXTRACTORS, "exchange"])
    reached = ends(demo.settings)
    assert wait_until(
        lambda: {(t, p): end for t, p, end in query(demo, PROGRESS)} == reached, deadline=DEADLINE
    )

    tickers = tickers_of(all_messages(demo.settings))
    assert set(query(demo, LIVE)) == newest(tickers)
    assert set(query(demo, CANDLES)) == candles(tickers)
    printed = run(demo, str(places.VENV_BIN / "spark-submit"), "spark_jobs/audit.py")
    symbols, minutes = len(newest(tickers)), len(candles(tickers))
    assert printed.splitlines() == [
        f"live_prices: {symbols} rows, 0 differ",
        f"candles_1m: {minutes} rows, 0 differ",
        "dead_letters: 0 rows, 0 differ",
    ]
    print(f"{KILLS} kills, {len(tickers)} tickers, {printed}")
