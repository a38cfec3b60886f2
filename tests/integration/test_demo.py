"""Run `make demo` as users do: one command, and prices of both exchanges reach the page.

All tests of this module share one demo and run in order: those that stop programs come last.
"""

import json
import os
import random
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from subprocess import CompletedProcess
from typing import Any

import psutil
import psycopg2
import pytest
from playwright.sync_api import Browser, expect

from infra import paths, supervision
from infra.monitoring import monitor
from infra.ports import postgres_address
from infra.services import object_store
from infra.stack import Stack
from infra.up import EXTRACTORS
from tests.support.kafka import all_messages, ends
from tests.support.lake import archived
from tests.support.page import price
from tests.support.plain_tables import CANDLES, LIVE, candles, newest, tickers_of
from tests.support.postgres import rows
from tests.support.process import run
from tests.support.readme import section
from tests.support.stacks import QUICK_JAVA, demo_stack, own_stack
from tests.support.waiting import pass_time, wait_for

PROGRAMS = (
    *("kafka", "minio", "postgres", "exchange", "binance", "kucoin"),
    *("jobs", "server"),
)

SECONDS_OF_KILLS = float(os.environ.get("SECONDS_OF_KILLS", "0"))
KILLS = int(os.environ.get("KILLS", "0"))

JOBS_DEADLINE = 180.0
"""Seconds for a restart of Spark and its first batch, on two cores that are busy with other tests."""

PROGRESS = "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic LIKE '%raw_data'"


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with demo_stack("demo") as stack:
        yield stack


def infra(stack: Stack, *arguments: str, status: int = 0) -> CompletedProcess[str]:
    """Run a command of the Makefile on this stack."""
    environment = stack.environment() | QUICK_JAVA
    return run([sys.executable, "-m", "infra", *arguments], environment, status=status)


def query(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(stack.settings.database_url)) as database:
        return rows(database, statement)


def newest_of(stack: Stack) -> dict[str, tuple[int, datetime]]:
    """Return number of symbols and newest receipt by exchange. Empty while Postgres is down."""
    try:
        found = query(
            stack, "SELECT exchange, count(*), max(received_at) FROM live_prices GROUP BY 1"
        )
    except psycopg2.OperationalError:
        return {}
    return {exchange: (symbols, received_at) for exchange, symbols, received_at in found}


def last_batch(stack: Stack) -> int:
    ((number,),) = query(stack, "SELECT max(id) FROM batches")
    return int(number)


def pids(stack: Stack) -> dict[str, int]:
    return {program["name"]: program["pid"] for program in supervision.programs(stack)}


def processes(stack: Stack) -> list[psutil.Process]:
    return list(supervision.processes_of(stack))


def test_every_program_but_those_of_make_monitor_runs(demo: Stack) -> None:
    states = {program["name"]: program["statename"] for program in supervision.programs(demo)}
    monitoring = dict.fromkeys(monitor.PROGRAMS, "STOPPED")
    assert states == dict.fromkeys(PROGRAMS, "RUNNING") | monitoring


def test_the_readmes_programs_receive_prices(demo: Stack) -> None:
    """Each command and each program of the section, as it is written there, on the demo's own port."""
    address = f"127.0.0.1:{demo.settings.server_port}"
    blocks = section("Prices in your program")
    assert [block.language for block in blocks] == ["sh", "python"]
    commands = blocks[0].text.splitlines()
    program = shlex.join([str(paths.VENV_BIN / "python"), "-c", blocks[1].text])
    by_curl, by_websockets, by_program = (
        text.replace("127.0.0.1:8000", address) for text in (*commands, program)
    )
    # `head` ends each program by closing the pipe. `tail` keeps open the input of websockets, which would
    # end with it.
    stream, websocket, rows_of_prices = (
        run(["/bin/sh", "-c", f"{command} | head -c 2000"]).stdout
        for command in (by_curl, f"tail -f /dev/null | {by_websockets}", by_program)
    )
    assert '"symbol":"BTCUSDT"' in stream
    assert '"type":"snapshot"' in websocket and '"exchange":"kucoin"' in websocket
    exchange, _symbol, price = rows_of_prices.splitlines()[0].split()
    assert exchange in ("binance", "kucoin") and Decimal(price) > 0


def test_postgres_has_hundreds_of_symbols_of_each_exchange_and_they_get_newer(demo: Stack) -> None:
    before = wait_for(
        lambda: newest_of(demo),
        lambda found: len(found) == 2 and all(symbols > 500 for symbols, _ in found.values()),
    )
    assert set(before) == {"binance", "kucoin"}
    after = wait_for(
        lambda: newest_of(demo),
        lambda found: all(
            found[exchange][1] > received_at + timedelta(seconds=2)
            for exchange, (_, received_at) in before.items()
        ),
    )
    # Other tests run on the same two cores; on an idle machine the age is 1 to 2 s.
    age = datetime.now(UTC) - min(received_at for _, received_at in after.values())
    assert age < timedelta(seconds=30)


def traced(stack: Stack) -> list[tuple[tuple[str, Decimal], dict[str, Any]]]:
    """Return (symbol, price) of each row whose message is archived, with the item that it came from."""
    messages = {row[:3]: row[3] for row in archived(stack.settings, "raw")}
    found = query(
        stack, 'SELECT topic, partition, "offset", position, symbol, price FROM live_prices'
    )
    return [
        ((symbol, price), json.loads(messages[place])[position])
        for *place_, position, symbol, price in found
        if (place := tuple(place_)) in messages
    ]


def test_prices_are_the_exchanges_own_words(demo: Stack) -> None:
    """Each price equals that in its archived message, digit for digit."""
    for read, item in wait_for(lambda: traced(demo), deadline=JOBS_DEADLINE, pause=0.5):
        symbol, price = item.get("s") or item["subject"], item.get("c") or item["data"]["price"]
        assert read == (symbol, Decimal(price))


def test_the_archive_has_parquet_of_both_topics_and_no_offset_twice(demo: Stack) -> None:
    places_ = wait_for(
        lambda: [row[:3] for row in archived(demo.settings, "raw")],
        lambda found: len({topic for topic, _, _ in found}) == 2,
        deadline=JOBS_DEADLINE,
        pause=0.5,
    )
    assert {topic for topic, _, _ in places_} == {"binance_raw_data", "kucoin_raw_data"}
    assert len(places_) == len(set(places_))
    assert object_store.is_ready(demo.settings)


def test_the_page_shows_prices_of_both_exchanges_that_move_and_says_simulated(
    demo: Stack, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{demo.settings.server_port}/")
    expect(page.locator("#simulated")).to_be_visible(timeout=60_000)
    for exchange in ("binance", "kucoin"):
        shown = price(page, "BTC/USDT", exchange)
        expect(shown).to_have_text(re.compile(r"\d"), timeout=60_000)
        expect(shown).not_to_have_text(shown.inner_text(), timeout=60_000)
    page.close()


def test_up_again_is_harmless(demo: Stack) -> None:
    before = pids(demo)
    infra(demo, "up", "--feed", "demo")
    assert pids(demo) == before


def test_a_busy_port_is_refused_by_name_and_number_before_anything_starts() -> None:
    with own_stack("refused") as other:
        with socket.create_server(("127.0.0.1", other.settings.s3_console_port)):
            done = infra(other, "up", "--feed", "demo", status=1)
        assert f"port {other.settings.s3_console_port} of MinIO's console is taken" in done.stderr
        assert not supervision.is_running(other)


@pytest.mark.fault
def test_what_dies_is_restarted_and_prices_go_on(demo: Stack) -> None:
    killed = {name: pids(demo)[name] for name in ("kucoin", "jobs", "postgres")}
    left = spark_files(demo)
    assert left
    wait_for_batch(demo)
    # A random moment, so any point of a batch.
    pass_time(random.uniform(0, 1))
    kill_driver(demo, with_python=False)
    for name in ("kucoin", "postgres"):
        os.kill(killed[name], signal.SIGKILL)
    moment = datetime.now(UTC)
    wait_for(
        lambda: pids(demo),
        lambda now: all(now[name] not in (0, pid) for name, pid in killed.items()),
    )
    wait_for(
        lambda: newest_of(demo),
        lambda found: len(found) == 2 and all(at > moment for _, at in found.values()),
        deadline=JOBS_DEADLINE,
    )
    assert not left & spark_files(demo)


def spark_files(stack: Stack) -> set[str]:
    """Return the names of the live job's temporary folders."""
    return {path.name for path in (stack.spark_folder / "jobs").iterdir()}


@pytest.mark.fault
def test_after_kill_9_of_everything_the_same_command_starts_it_and_the_data_is_there(
    demo: Stack,
) -> None:
    before = last_batch(demo)
    for process in processes(demo):
        # A child may have ended by itself after its parent was killed.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    # A backend that Postgres was starting may survive and wait for a lock that nobody holds: the command
    # ends it first.
    infra(demo, "demo")
    assert last_batch(demo) > before


@pytest.mark.fault
def test_after_any_kills_the_tables_equal_a_fresh_computation_from_kafka(demo: Stack) -> None:
    """The kills of the tests before, and more in `make soak-jobs`."""
    kill_drivers(demo)
    supervision.stop_programs(demo, [*EXTRACTORS, "exchange"])
    reached = ends(demo.settings)
    wait_for(
        lambda: {(topic, number): end for topic, number, end in query(demo, PROGRESS)},
        lambda progress: progress == reached,
        deadline=JOBS_DEADLINE,
    )

    tickers = tickers_of(all_messages(demo.settings))
    expected_prices, expected_candles = newest(tickers), candles(tickers)
    assert set(query(demo, LIVE)) == expected_prices
    assert set(query(demo, CANDLES)) == expected_candles
    printed = audit(demo)
    of_tables, of_bucket = printed.splitlines()[:4], printed.splitlines()[4:]
    assert of_tables == [
        f"live_prices: {len(expected_prices)} rows, 0 differ",
        f"candles_1m: {len(expected_candles)} rows, 0 differ",
        "dead_letters: 0 rows, 0 differ",
        "dead_letter_spans: 0 rows, 0 differ",
    ]
    # A batch of the lake takes a minute, so the bucket may still be empty.
    assert [line for line in of_bucket if not line.endswith(" minutes, 0 differ")] == []
    print(f"{KILLS} kills, {len(tickers)} tickers, {printed}")


def kill_drivers(stack: Stack) -> None:
    """Kill the driver with SIGKILL at random moments, alternately without and with its Python child."""
    began = time.monotonic()
    moments = sorted(random.uniform(0, SECONDS_OF_KILLS) for _ in range(KILLS))
    for number, moment in enumerate(moments):
        wait_for_batch(stack)
        # A random moment, so any point of a batch.
        pass_time(max(began + moment - time.monotonic(), random.uniform(0, 1)))
        kill_driver(stack, with_python=number % 2 == 1)
    wait_for_batch(stack)
    pass_time(max(0.0, began + SECONDS_OF_KILLS - time.monotonic()))


def kill_driver(stack: Stack, *, with_python: bool) -> None:
    """Kill the driver. Return after its Python child has ended and Postgres has closed its sessions."""
    python, ports = writer(stack), writers_ports(stack)
    driver = python.parent()
    assert driver is not None and driver.name() == "java"
    for process in (driver, python) if with_python else (driver,):
        process.send_signal(signal.SIGKILL)
    _gone, alive = psutil.wait_procs([python], timeout=JOBS_DEADLINE)
    assert not alive, "a driver's Python child outlived it"
    # Wait for Postgres: until then, a commit of the killed job may still become visible.
    wait_for(lambda: writers_ports(stack), lambda left: not {*ports} & {*left})


def wait_for_batch(stack: Stack) -> None:
    """Wait until the live job has written a batch; after a kill, that is the restarted job."""
    before = last_batch(stack)
    wait_for(
        lambda: (last_batch(stack), writers_ports(stack)),
        lambda now: now[0] > before and now[1],
        deadline=JOBS_DEADLINE,
        pause=0.1,
    )


def writers_ports(stack: Stack) -> list[int]:
    """Return the local ports of the live job's connections that write prices to Postgres."""
    found = query(
        stack, "SELECT client_port FROM pg_stat_activity WHERE application_name = 'PriceSink'"
    )
    return [port for (port,) in found]


def writer(stack: Stack) -> psutil.Process:
    """Return the Python process that writes prices, found by its connection to Postgres."""
    (port,) = writers_ports(stack)
    _host, postgres = postgres_address(stack.settings)
    # Connections to other servers may have the same local port.
    (pid,) = {
        found.pid
        for found in psutil.net_connections("tcp")
        if found.pid
        and found.laddr
        and found.raddr
        and (found.laddr.port, found.raddr.port) == (port, postgres)
    }
    return psutil.Process(pid)


def audit(stack: Stack) -> str:
    spark_submit = paths.VENV_BIN / "spark-submit"
    return run([str(spark_submit), "spark_jobs/audit.py"], stack.environment() | QUICK_JAVA).stdout


def test_down_leaves_no_process(demo: Stack) -> None:
    assert processes(demo)
    began = time.monotonic()
    infra(demo, "down")
    assert processes(demo) == []
    assert not demo.spark_folder.exists()
    assert time.monotonic() - began < 60
    infra(demo, "down")
