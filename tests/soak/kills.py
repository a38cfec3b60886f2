"""Kill programs of a stack with SIGKILL at random moments, and measure how long they take to recover."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial

import psutil
import psycopg2
from botocore.exceptions import BotoCoreError, ClientError

from core.topics import TOPIC_OF_EXCHANGE
from infra import first_prices, supervision
from infra.stack import Stack
from tests.soak.record import Kill
from tests.support.lake_queries import objects
from tests.support.postgres import rows
from tests.support.waiting import pass_time, wait_for

PROGRAMS = ("jobs", "binance", "kucoin", "kafka", "minio", "postgres", "server")
DEADLINE = 300.0
"""Seconds within which data must flow again, even if other programs are killed meanwhile."""

PAUSE = 0.5
NEWEST = "SELECT exchange, max(received_at) FROM live_prices GROUP BY 1"


def plan(kills: int, seconds: float, chance: random.Random) -> list[tuple[float, str]]:
    """Return moments, in seconds from the start, and the program to kill at each.

    The numbers of kills of any two programs differ by at most one.
    """
    order = chance.sample(PROGRAMS, len(PROGRAMS))
    programs = [order[number % len(order)] for number in range(kills)]
    chance.shuffle(programs)
    moments = sorted(chance.uniform(0, seconds) for _ in programs)
    return list(zip(moments, programs, strict=True))


def kill_at_random(
    stack: Stack, planned: Sequence[tuple[float, str]], kills: list[Kill], chance: random.Random
) -> None:
    """Kill as planned, and return when all have recovered or their deadline has passed.

    Append each kill to `kills`. A program is not killed again before it has recovered.
    """
    began = time.monotonic()
    recovering: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(PROGRAMS), "recovery") as pool:
        for moment, program in planned:
            pass_time(max(0.0, began + moment - time.monotonic()))
            if program in recovering:
                recovering[program].result()
            pid = kill(stack, program, chance)
            done = Kill(datetime.now(UTC), program)
            kills.append(done)
            print(f"killed number={len(kills)} program={program} pid={pid}", flush=True)
            recovering[program] = pool.submit(wait_for_recovery, stack, done, pid)
    for each in recovering.values():
        each.result()


def kill(stack: Stack, program: str, chance: random.Random) -> int:
    """Kill a program once it runs, and return its pid. For the jobs, sometimes kill only the JVM."""
    process = wait_for(partial(process_of, stack, program), deadline=DEADLINE, pause=PAUSE)
    assert process is not None
    children = process.children() if program == "jobs" and chance.random() < 0.5 else []
    for each in (process, *children):
        with suppress(psutil.NoSuchProcess):
            each.kill()
    return process.pid


def process_of(stack: Stack, program: str) -> psutil.Process | None:
    """Return the program's process, None while it does not run."""
    pid = pid_of(stack, program)
    try:
        return psutil.Process(pid) if pid else None
    except psutil.NoSuchProcess:
        # The jobs exit if a service stays unavailable.
        return None


def pid_of(stack: Stack, program: str) -> int:
    """Return the program's pid, 0 while it does not run."""
    return int(supervision.call(stack, "getProcessInfo", program)["pid"])


def wait_for_recovery(stack: Stack, kill: Kill, pid: int) -> None:
    """Wait until data flows again, and set the kill's `seconds`. Leave None after the deadline."""
    began = time.monotonic()
    flows = flows_again(stack, kill.program)

    def has_recovered() -> bool:
        return pid_of(stack, kill.program) not in (0, pid) and flows(kill.at)

    with suppress(AssertionError):
        wait_for(has_recovered, deadline=DEADLINE, pause=PAUSE)
        kill.seconds = time.monotonic() - began
    event = "not recovered" if kill.seconds is None else "recovered"
    print(f"{event} program={kill.program} seconds={kill.seconds}", flush=True)


def flows_again(stack: Stack, program: str) -> Callable[[datetime], bool]:
    """Return a predicate that is true once data received after a given moment has passed the program.

    For MinIO, it is true once an object was written after the moment.
    """
    if program == "server":
        return lambda moment: serves(stack, moment)
    if program == "minio":
        return lambda moment: archives(stack, moment)
    exchanges = {program} if program in TOPIC_OF_EXCHANGE else set(TOPIC_OF_EXCHANGE)
    return lambda moment: exchanges <= priced(stack, moment)


def priced(stack: Stack, since: datetime) -> set[str]:
    """Return the exchanges for which Postgres has a price received after `since`."""
    try:
        with closing(psycopg2.connect(stack.settings.database_url, connect_timeout=5)) as database:
            return {name for name, newest in rows(database, NEWEST) if newest > since}
    except psycopg2.Error:
        # Postgres may have been killed too.
        return set()


def serves(stack: Stack, since: datetime) -> bool:
    return first_prices.served(stack.settings, since.timestamp()) == set(TOPIC_OF_EXCHANGE)


def archives(stack: Stack, since: datetime) -> bool:
    """Return whether raw/ has an object written after `since`."""
    try:
        return any(each["LastModified"] > since for each in objects(stack.settings, "raw/"))
    except (BotoCoreError, ClientError):
        return False
