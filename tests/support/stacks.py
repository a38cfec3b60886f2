"""Start stacks for tests: the real services on free ports, in a separate folder."""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial

import psutil
import psycopg2

from core.settings import Settings
from infra import supervision
from infra.services import postgres
from infra.stack import Stack, delete, stack_on_free_ports
from infra.up import services_up
from tests.support.postgres import execute, rows
from tests.support.process import run
from tests.support.waiting import wait_for

QUICK_JAVA = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}
"""Environment of short-lived JVMs, in which the optimising compiler costs more than it saves."""

KUCOIN_RATE = int(os.environ.get("EXCHANGE_KUCOIN_RATE", "400"))
"""Frames per second. `make test` runs other tests on the same cores."""

TEMPLATE = "template_of_tests"
"""Name of a database to which nobody connects after its migrations."""

_DATABASE_NUMBERS = itertools.count(1)


@contextmanager
def own_stack(name: str, *, secured: bool = False) -> Iterator[Stack]:
    """Yield a stack without running programs. At the end, stop its programs and delete its data."""
    stack = stack_on_free_ports(f"tests/{name}", secured=secured)
    try:
        yield stack
    finally:
        end_and_delete(stack)


def end_and_delete(stack: Stack) -> None:
    """Kill the programs and delete their data. The data needs no orderly shutdown."""
    if not stack.folder.exists():
        return
    # Kill the supervisor first, which is the oldest process, so that it does not restart the others.
    for process in sorted(supervision.processes_of(stack), key=psutil.Process.create_time):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    supervision.stop(stack)
    delete(stack)
    stack.folder.parent.rmdir()


@contextmanager
def demo_stack(name: str) -> Iterator[Stack]:
    """Run what `make demo` starts, with fewer ticks. Yield once prices of both exchanges are served."""
    with own_stack(name) as full:
        stack = replace(full, settings=replace(full.settings, exchange_kucoin_rate=KUCOIN_RATE))
        done = run([sys.executable, "-m", "infra", "demo"], stack.environment() | QUICK_JAVA)
        assert f"http://127.0.0.1:{stack.settings.server_port}/" in done.stdout
        yield stack


def new_database(stack: Stack) -> Settings:
    """Create a database with all tables and no rows. Return the stack's settings with it.

    It is a copy of a template: the migrations take ten times as long.
    """
    name = f"own_{next(_DATABASE_NUMBERS)}"
    with closing(psycopg2.connect(stack.settings.database_url)) as database:
        database.autocommit = True
        if not rows(database, "SELECT FROM pg_database WHERE datname = %s", TEMPLATE):
            postgres.initialise(settings_on(stack, TEMPLATE))
        execute(database, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return settings_on(stack, name)


def settings_on(stack: Stack, database: str) -> Settings:
    """Return the stack's settings with another database."""
    settings = stack.settings
    return replace(
        settings,
        database_url=settings.database_url.rsplit("/", 1)[0] + f"/{database}",
        reader_database_url=settings.reader_database_url.rsplit("/", 1)[0] + f"/{database}",
    )


@contextmanager
def stopped(stack: Stack, *programs: str) -> Iterator[None]:
    """Stop programs for the block; then start them again."""
    supervision.stop_programs(stack, programs)
    try:
        yield
    finally:
        supervision.start_programs(stack, programs)


@contextmanager
def unavailable(stack: Stack, *programs: str) -> Iterator[None]:
    """Kill programs with SIGKILL and keep them down for the block; then start them again."""
    for program in programs:
        supervision.call(stack, "signalProcess", program, "KILL")
    for program in programs:
        wait_for(partial(state_after_stop, stack, program), lambda state: state == "STOPPED")
    try:
        yield
    finally:
        services_up(stack)
        supervision.start_programs(stack, programs)


def state_after_stop(stack: Stack, program: str) -> str:
    """Ask the supervisor to stop a program, and return the program's state.

    A killed program can't be stopped before the supervisor has begun to restart it.
    """
    supervision.stop_programs(stack, [program])
    state: str = supervision.call(stack, "getProcessInfo", program)["statename"]
    return state
