"""Test the commands on a stack whose supervisord still waits for the end of a program."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from infra import supervision
from infra.__main__ import clean, down, jobs, status
from infra.stack import Stack, StackError, stack_of
from infra.up import services_up
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

SECTIONS = supervision.CONFIGURATION.read_text().partition("[program:")[0]
"""How supervisord itself is configured."""

PROGRAM = """
[program:slow]
directory = %(ENV_CRYPTOPRICESRT_STACK)s
command = /bin/sh -c 'trap "" TERM; touch began; until [ -e end ]; do sleep 0.02; done'
autostart = false
startsecs = 0
stopwaitsecs = 60
"""
"""A program that ends only when a file exists."""


@contextmanager
def shutting_down(folder: Path) -> Iterator[Stack]:
    """Run a stack with one program, and yield while it shuts down."""
    configuration = folder / "supervisord.conf"
    configuration.write_text(SECTIONS + PROGRAM)
    with pytest.MonkeyPatch.context() as patched:
        # Postgres does not run here, so any user may own the folder.
        patched.setattr(os, "geteuid", lambda: 1000)
        patched.setattr(supervision, "CONFIGURATION", configuration)
        stack = stack_of("demo", Settings(stack_dir=str(folder / "stacks")))
        supervision.start(stack, {})
        try:
            supervision.start_programs(stack, ["slow"])
            wait_for((stack.folder / "began").exists)
            supervision.call(stack, "shutdown")
            yield stack
        finally:
            (stack.folder / "end").touch()
            supervision.stop(stack)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shutting_down(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def test_a_stack_that_shuts_down_is_still_up(stack: Stack) -> None:
    assert supervision.is_running(stack)
    with pytest.raises(StackError, match="the demo stack is up: make down first"):
        clean(stack.settings)


@pytest.mark.parametrize("command", [status, jobs])
def test_a_stack_that_shuts_down_is_named(
    stack: Stack, command: Callable[[Settings], None]
) -> None:
    with pytest.raises(StackError) as refused:
        command(stack.settings)
    assert str(refused.value) == (
        "the demo stack is shutting down: try again when make down has ended"
    )


def test_a_stack_that_shuts_down_is_not_started(stack: Stack) -> None:
    with pytest.raises(StackError, match="the demo stack is shutting down"):
        services_up(stack)


def test_a_second_down_waits_for_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused: list[supervision.ShuttingDownError] = []
    call = supervision.call

    def call_then_end(stack: Stack, method: str) -> Any:
        try:
            return call(stack, method)
        except supervision.ShuttingDownError as error:
            refused.append(error)
            raise
        finally:
            (stack.folder / "end").touch()

    with shutting_down(tmp_path) as stack:
        monkeypatch.setattr(supervision, "call", call_then_end)
        down(stack.settings)

        assert len(refused) == 1
        assert "processes ended" in capsys.readouterr().out
        assert list(supervision.processes_of(stack)) == []
