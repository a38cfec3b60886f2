"""Test the commands on a stack whose only program ignores SIGTERM, mostly while it shuts down."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
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
def with_slow_program(folder: Path) -> Iterator[Stack]:
    """Run a stack whose only program ignores SIGTERM and ends once the file `end` exists."""
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
            yield stack
        finally:
            (stack.folder / "end").touch()
            supervision.stop(stack)


@contextmanager
def shutting_down(folder: Path) -> Iterator[Stack]:
    """Run a stack with one program, and yield while it shuts down."""
    with with_slow_program(folder) as stack:
        supervision.call(stack, "shutdown")
        yield stack


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
        # A program that is waited for ends by itself.
        monkeypatch.delattr(psutil.Process, "terminate")
        down(stack.settings)

        assert len(refused) == 1
        assert "processes ended" in capsys.readouterr().out
        assert list(supervision.processes_of(stack)) == []


def test_a_program_that_is_being_stopped_is_started_when_it_has_ended(tmp_path: Path) -> None:
    with with_slow_program(tmp_path) as stack:
        supervision.call(stack, "stopProcess", "slow", False)
        (ending,) = supervision.programs(stack)
        assert ending["statename"] == "STOPPING"
        with ThreadPoolExecutor() as pool:
            started = pool.submit(supervision.start_programs, stack, ["slow"])
            (stack.folder / "began").unlink()
            (stack.folder / "end").touch()
            started.result()
        (running,) = supervision.programs(stack)
        # It sees the file at once, and ends by itself.
        assert running["statename"] in ("RUNNING", "EXITED")
        wait_for((stack.folder / "began").exists)


def test_a_stack_is_up_whatever_folder_for_temporary_files_the_shell_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with with_slow_program(tmp_path) as stack:
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert supervision.is_running(stack)


def test_data_are_not_deleted_while_programs_of_a_killed_supervisor_run(tmp_path: Path) -> None:
    with with_slow_program(tmp_path) as stack:
        os.kill(supervision.call(stack, "getPID"), signal.SIGKILL)
        wait_for(lambda: not supervision.is_running(stack))
        with pytest.raises(StackError, match="the demo stack is up: make down first"):
            clean(stack.settings)
