"""Run make doctor's command on the whole demo: nothing is wrong, until programs are stopped."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from infra.paths import PROJECT
from infra.stack import Stack
from tests.support.stacks import demo_stack, stopped
from tests.support.waiting import wait_for

DEADLINE = 300.0
"""Seconds until a finding appears or disappears: the limits that are exceeded here are up to a minute."""

Printed = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with demo_stack("doctor") as stack:
        yield stack


def doctor(stack: Stack) -> Printed:
    """Run the command. Its output and exit status are those that `make doctor` shows."""
    return subprocess.run(
        [sys.executable, "-m", "infra.doctor"],
        cwd=PROJECT,
        env=stack.environment() | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def finds(problem: str) -> Callable[[Printed], bool]:
    return lambda done: done.returncode == 1 and problem in done.stdout


def no_finding(stack: Stack) -> Printed:
    """Wait until the command finds nothing."""
    return wait_for(
        partial(doctor, stack), lambda found: found.returncode == 0, deadline=DEADLINE, pause=0
    )


def test_whole_demo_has_no_finding(demo: Stack) -> None:
    done = no_finding(demo)
    lines = done.stdout.splitlines()
    assert lines[0] == f"examined: the demo stack in {demo.folder}"
    assert all(line.startswith("ok ") for line in lines[1:-1])
    assert {"Binance", "KuCoin", "price_history"} <= {line[7:] for line in lines[1:-1]}
    assert lines[-1] == "findings: 0"


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("exchange", "no tickers of binance since "),
        ("kucoin", "the newest price of kucoin is "),
        ("jobs", "records not read yet: "),
        ("postgres", "DATABASE_URL: connection to server at "),
        ("minio", "is unavailable"),
    ],
)
def test_stopped_program_is_found(demo: Stack, program: str, problem: str) -> None:
    # The program of the test before has just been started again.
    no_finding(demo)
    with stopped(demo, program):
        wait_for(partial(doctor, demo), finds(problem), deadline=DEADLINE, pause=0)
