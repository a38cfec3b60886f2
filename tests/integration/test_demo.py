"""`make demo` as its users meet it: one command, and prices of both exchanges go all the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psutil
import psycopg2
import pytest
from playwright.sync_api import Browser, expect

from infra import supervision
from infra.services import object_store
from infra.stack import STACK_VARIABLE, Stack, stack_on_free_ports
from infra.up import wait_until
from tests.integration.conftest import end_and_delete
from tests.lake import archived

PROGRAMS = (
    *("kafka", "minio", "postgres", "exchange", "binance", "kucoin"),
    *("jobs", "server"),
)


def infra(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the Makefile, on this stack."""
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env=os.environ | stack.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    stack = stack_on_free_ports("tests/demo")
    try:
        done = infra(stack, "demo")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"http://127.0.0.1:{stack.settings.server_port}/" in done.stdout
        yield stack
    finally:
        end_and_delete(stack)


def query(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    with (
        closing(psycopg2.connect(stack.settings.database_url)) as database,
        database.cursor() as cursor,
    ):
        cursor.execute(statement)
        return cursor.fetchall()


def newest(stack: Stack) -> dict[str, tuple[int, datetime]]:
    rows = query(stack, "SELECT exchange, count(*), max(received_at) FROM live_prices GROUP BY 1")
    return {exchange: (symbols, received_at) for exchange, symbols, received_at in rows}


def eventually(is_true: Callable[[], bool], deadline: float = 60) -> None:
    assert wait_until(is_true, deadline=deadline)


def pids(stack: Stack) -> dict[str, int]:
    return {program["name"]: program["pid"] for program in supervision.programs(stack)}


def processes(stack: Stack) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STACK_VARIABLE) == str(stack.folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_every_program_runs(demo: Stack) -> None:
    states = {program["name"]: program["statename"] for program in supervision.programs(demo)}
    assert states == dict.fromkeys(PROGRAMS, "RUNNING")


def test_postgres_has_hundreds_of_symbols_of_each_exchange_and_they_get_newer(demo: Stack) -> None:
    eventually(lambda: all(symbols > 500 for symbols, _ in newest(demo).values()))
    before = newest(demo)
    assert set(before) == {"binance", "kucoin"}
    eventually(
        lambda: all(
            newest(demo)[exchange][1] > received_at + timedelta(seconds=2)
            for exchange, (_, received_at) in before.items()
        )
    )
    # Two cores carry the tests beside it; by itself it is a second or two.
    age = datetime.now(UTC) - min(received_at for _, received_at in newest(demo).values())
    assert age < timedelta(seconds=30)


def traced(stack: Stack) -> list[tuple[tuple[str, Decimal], dict[str, Any]]]:
    """(symbol, price) of the rows whose message is archived, each with the item that it came from."""
    messages = {row[:3]: row[3] for row in archived(stack.settings, "raw")}
    rows = query(
        stack, 'SELECT topic, partition, "offset", position, symbol, price FROM live_prices'
    )
    return [
        ((symbol, price), json.loads(messages[place])[position])
        for *place_, position, symbol, price in rows
        if (place := tuple(place_)) in messages
    ]


def test_prices_are_the_exchanges_own_words(demo: Stack) -> None:
    """Each price is found again in the archived message that it came from."""
    eventually(lambda: bool(traced(demo)), deadline=120)
    for read, item in traced(demo):
        symbol, price = item.get("s") or item["subject"], item.get("c") or item["data"]["price"]
        assert read == (symbol, Decimal(price))


def test_the_archive_has_parquet_of_both_topics_and_no_offset_twice(demo: Stack) -> None:
    eventually(lambda: len({row[0] for row in archived(demo.settings, "raw")}) == 2)
    places = [row[:3] for row in archived(demo.settings, "raw")]
    assert {topic for topic, _, _ in places} == {"binance_raw_data", "kucoin_raw_data"}
    assert len(places) == len(set(places))
    assert object_store.is_ready(demo.settings)


def test_the_page_shows_prices_of_both_exchanges_that_move_and_says_simulated(
    demo: Stack, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{demo.settings.server_port}/")
    expect(page.get_by_text("simulated", exact=False).first).to_be_visible(timeout=30_000)
    table = page.locator("table")
    for symbol in ("BTCUSDT", "BTC-USDT"):
        row = table.locator("tr", has_text=symbol).first
        expect(row).to_be_visible(timeout=30_000)
        price = row.locator("td").first
        before = price.inner_text()
        expect(price).not_to_have_text(before, timeout=60_000)
    page.close()


def test_up_again_is_harmless(demo: Stack) -> None:
    before = pids(demo)
    assert infra(demo, "up", "--feed", "demo").returncode == 0
    assert pids(demo) == before


def test_what_dies_is_restarted_and_prices_go_on(demo: Stack) -> None:
    killed = {name: pids(demo)[name] for name in ("kucoin", "jobs", "postgres")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    moment = datetime.now(UTC)
    eventually(lambda: all(pids(demo)[name] not in (0, pid) for name, pid in killed.items()))
    eventually(lambda: wrote_since(demo, moment), deadline=120)


def wrote_since(stack: Stack, moment: datetime) -> bool:
    try:
        return all(received_at > moment for _, received_at in newest(stack).values())
    except psycopg2.OperationalError:
        return False


def test_a_busy_port_is_refused_by_name_and_number_before_anything_starts(demo: Stack) -> None:
    other = stack_on_free_ports("tests/refused")
    with socket.create_server(("127.0.0.1", other.settings.s3_console_port)):
        done = infra(other, "up", "--feed", "demo")
    assert done.returncode == 1
    assert f"port {other.settings.s3_console_port} of MinIO's console is taken" in done.stderr
    assert not supervision.is_running(other)
    end_and_delete(other)


def test_after_kill_9_of_everything_up_works_and_the_data_is_there(demo: Stack) -> None:
    before = query(demo, "SELECT max(id) FROM batches")[0][0]
    for process in processes(demo):
        process.kill()
    eventually(lambda: not processes(demo))
    done = infra(demo, "up", "--feed", "demo")
    assert done.returncode == 0, done.stderr
    assert query(demo, "SELECT max(id) FROM batches")[0][0] >= before


def test_down_leaves_no_process(demo: Stack) -> None:
    assert processes(demo)
    began = time.monotonic()
    assert infra(demo, "down").returncode == 0
    assert processes(demo) == []
    assert time.monotonic() - began < 60
    assert infra(demo, "down").returncode == 0
