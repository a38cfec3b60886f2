"""Stacks that belong to tests: the real services on free ports, in a folder of their own."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import psutil

from core.settings import Settings
from infra import supervision
from infra.services import postgres
from infra.stack import Stack, delete, stack_on_free_ports
from infra.up import services_up
from tests.support.process import run
from tests.support.waiting import wait_for

QUICK_JAVA = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}
"""Environment of JVMs that end within minutes: HotSpot's second compiler would not pay for itself."""

_DATABASE_NUMBERS = itertools.count(1)


@contextmanager
def own_stack(name: str) -> Iterator[Stack]:
    """A stack in which nothing runs yet. At the end its programs are stopped and its data deleted."""
    stack = stack_on_free_ports(f"tests/{name}")
    try:
        yield stack
    finally:
        end_and_delete(stack)


def end_and_delete(stack: Stack) -> None:
    """Kill the programs, which need no orderly end: their data are deleted."""
    if not stack.folder.exists():
        return
    # The supervisor is the oldest process, so it restarts none of the others.
    for process in sorted(supervision.processes_of(stack), key=psutil.Process.create_time):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    supervision.stop(stack)
    delete(stack)
    stack.folder.parent.rmdir()


@contextmanager
def demo_stack(name: str) -> Iterator[Stack]:
    """What `make demo` starts: it returns when prices of both exchanges are served."""
    with own_stack(name) as stack:
        done = run([sys.executable, "-m", "infra", "demo"], stack.environment() | QUICK_JAVA)
        assert f"http://127.0.0.1:{stack.settings.server_port}/" in done.stdout
        yield stack


def new_database(stack: Stack) -> Settings:
    """The stack's settings with a new database: all tables, no rows."""
    settings = settings_on(stack, f"own_{next(_DATABASE_NUMBERS)}")
    postgres.initialise(settings)
    return settings


def settings_on(stack: Stack, database: str) -> Settings:
    """The stack's settings with another database."""
    settings = stack.settings
    return replace(
        settings,
        database_url=settings.database_url.rsplit("/", 1)[0] + f"/{database}",
        reader_database_url=settings.reader_database_url.rsplit("/", 1)[0] + f"/{database}",
    )


@contextmanager
def unavailable(stack: Stack, *services: str) -> Iterator[None]:
    """Services that were killed with SIGKILL, until the end of the block; then they are up again."""
    for service in services:
        supervision.call(stack, "signalProcess", service, "KILL")
    for service in services:
        wait_for(partial(state_after_stop, stack, service), lambda state: state == "STOPPED")
    try:
        yield
    finally:
        services_up(stack)


def state_after_stop(stack: Stack, service: str) -> str:
    """The supervisor's state of a service that it was asked to stop.

    A service that was killed can't be stopped before the supervisor has begun to restart it.
    """
    supervision.stop_programs(stack, [service])
    state: str = supervision.call(stack, "getProcessInfo", service)["statename"]
    return state
