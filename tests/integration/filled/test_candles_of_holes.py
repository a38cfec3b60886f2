"""Candles before the first minute, and across interruptions, while programs are killed at random.

`make soak-backfill` runs it, for ten minutes.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
import requests

from exchanges import EXCHANGE
from extractors.backfill.ranking import ranked
from extractors.receive.exchange_client import client_of
from infra import supervision
from infra.replay.faults.faults import NoData
from infra.stack import Stack
from tests.support.process import run
from tests.support.replay_exchange import clear, inflict
from tests.support.stacks import QUICK_JAVA, own_stack
from tests.support.waiting import pass_time, wait_for

TEN_MINUTES = 600.0
KILL_INTERVAL = 45.0
INTERRUPTION = 120.0
PAIRS = 20
"""Number of pairs of each exchange whose series is checked: the most traded ones."""

VICTIMS = ("binance", "kucoin", "kafka", "postgres", "jobs")
WIDTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
SPANS = {"1m": timedelta(hours=6), "1h": timedelta(days=30), "1d": timedelta(days=365)}


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with own_stack("filled") as empty:
        settings = replace(
            empty.settings, backfill_1m_hours=6, backfill_1h_days=30, backfill_1d_days=365
        )
        stack = replace(empty, settings=settings)
        run([sys.executable, "-m", "infra", "demo"], stack.environment() | QUICK_JAVA)
        yield stack


def get(stack: Stack, path: str, **query: str) -> dict[str, Any]:
    """Return an answer of the server; wait while Postgres is down."""

    def answer() -> requests.Response:
        return requests.get(
            f"http://127.0.0.1:{stack.settings.server_port}{path}", query, timeout=20
        )

    found: dict[str, Any] = wait_for(answer, lambda each: each.status_code == 200).json()
    return found


def interruptions(stack: Stack, exchange: str) -> list[dict[str, Any]]:
    """Return the interruptions of a minute or more, oldest first, and the first one of all."""
    feeds = get(stack, "/api/feeds", limit="100")["feeds"]
    [feed] = [each for each in feeds if each["exchange"] == exchange]
    found = [each for each in reversed(feed["events"]) if each["kind"] == "interruption"]
    return [each for each in found if each is found[0] or seconds(each) >= 60]


def seconds(event: dict[str, Any]) -> float:
    """Return the length of an event; infinite while it is ongoing."""
    if event["to"] is None:
        return inf
    start, end = (datetime.fromisoformat(event[name]) for name in ("from", "to"))
    return (end - start).total_seconds()


def most_traded(stack: Stack, exchange: str) -> list[str]:
    client = client_of(EXCHANGE[exchange], stack.settings)
    source = client.exchange.candles
    assert source
    return ranked(client.symbol_list().instruments, client.turnovers(source))[:PAIRS]


def missing(stack: Stack, exchange: str, interval: str, until: datetime) -> dict[str, list[str]]:
    """Return the starts that the series of each of the most traded pairs lacks.

    The series begins SPANS[interval] before the first ticker, because candles are requested from then on.
    """
    width = WIDTHS[interval]
    started = datetime.fromisoformat(interruptions(stack, exchange)[0]["to"])
    since = started - SPANS[interval]
    found = {}
    for symbol in most_traded(stack, exchange):
        starts = {
            datetime.fromisoformat(candle["start"])
            for candle in get(
                stack,
                f"/api/candles/{exchange}/{symbol}",
                interval=interval,
                limit="1000",
                **{"from": since.isoformat(), "to": until.isoformat()},
            )["candles"]
        }
        first = datetime.fromtimestamp(
            -(-since.timestamp() // width.total_seconds()) * width.total_seconds(), UTC
        )
        expected = {first + number * width for number in range((until - first) // width)}
        if lacking := sorted(expected - starts):
            found[symbol] = [each.isoformat() for each in lacking]
    return found


def kill_one(stack: Stack) -> str:
    """Kill a random program of those that run. Return its name."""
    pids = {each["name"]: each["pid"] for each in supervision.programs(stack)}
    name = random.choice([each for each in VICTIMS if pids[each]])
    os.kill(pids[name], signal.SIGKILL)
    return name


def wait_while_killing(stack: Stack, is_over: Callable[[], bool], deadline: float) -> list[str]:
    """Kill a program every KILL_INTERVAL until `is_over` returns True. Return the programs' names."""
    began, killed = time.monotonic(), list[str]()
    while not is_over():
        assert time.monotonic() - began < deadline, f"not over after {deadline} s, killed {killed}"
        if time.monotonic() - began > (len(killed) + 1) * KILL_INTERVAL:
            killed.append(kill_one(stack))
        pass_time(1)
    return killed


def all_filled(stack: Stack) -> bool:
    """Return whether each exchange has an interruption and all of them are filled."""
    found = [interruptions(stack, exchange) for exchange in EXCHANGE]
    return all(found) and all(event["filled"] for events in found for event in events)


def end_of_hole(stack: Stack, exchange: str) -> datetime:
    """Return the end of the minute in which the newest finished interruption ended."""
    ends = [each["to"] for each in interruptions(stack, exchange) if each["to"]]
    end = datetime.fromisoformat(ends[-1])
    width = WIDTHS["1m"].total_seconds()
    return datetime.fromtimestamp(-(-end.timestamp() // width) * width, UTC)


def test_within_ten_minutes_the_most_traded_pairs_have_candles_of_the_past(demo: Stack) -> None:
    killed = wait_while_killing(demo, lambda: all_filled(demo), TEN_MINUTES)
    print("killed", killed)
    # The newest candles may not have arrived: programs were killed until now.
    until = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    for exchange in EXCHANGE:
        for interval in WIDTHS:
            assert missing(demo, exchange, interval, until) == {}


def test_a_long_interruption_leaves_no_hole_and_is_marked_filled(demo: Stack) -> None:
    address = f"127.0.0.1:{demo.settings.exchange_port}"
    before = {exchange: len(interruptions(demo, exchange)) for exchange in EXCHANGE}
    for exchange in EXCHANGE:
        inflict(address, exchange, NoData(), "every")
        inflict(address, exchange, NoData(), "open")
    pass_time(INTERRUPTION)
    for exchange in EXCHANGE:
        clear(address, exchange)

    def is_over() -> bool:
        found = {exchange: interruptions(demo, exchange) for exchange in EXCHANGE}
        is_new = all(len(found[exchange]) > before[exchange] for exchange in EXCHANGE)
        return is_new and all_filled(demo)

    killed = wait_while_killing(demo, is_over, TEN_MINUTES)
    print("killed", killed)
    for exchange in EXCHANGE:
        assert missing(demo, exchange, "1m", end_of_hole(demo, exchange)) == {}
