"""Shared parts of the benchmarks: a separate stack, child processes, aligned tables and medians."""

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from benchmarks.harness.versions import THIS, Version
from core.settings import Settings
from infra import first_prices, paths, supervision
from infra.stack import Stack, StackError, delete, stack_on_free_ports
from infra.up import EXTRACTORS, everything_up, services_up

PYTHON = str(paths.VENV_BIN / "python")
SPARK_SUBMIT = str(paths.VENV_BIN / "spark-submit")
TWIN_PYTHON = str(paths.TOOLS / "rivals-async_twin" / "bin" / "python")

STOP_LIMIT = 60.0


@contextmanager
def own_stack(name: str) -> Iterator[Stack]:
    """Run Kafka, MinIO and Postgres on free ports. Delete them after the block, also on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    stack = stack_on_free_ports(f"benchmarks/{name}")
    try:
        services_up(stack)
        yield stack
    finally:
        supervision.stop(stack)
        delete(stack)
        stack.folder.parent.rmdir()


@contextmanager
def running_demo(name: str) -> Iterator[Stack]:
    """Run every program with the replay exchange. Begin the block once prices of all exchanges are served."""
    with own_stack(name) as stack:
        everything_up(stack)
        first_prices.wait(stack, EXTRACTORS)
        yield stack


def with_database(stack: Stack, name: str, version: Version = THIS) -> Settings:
    """Create a database with a version's tables and no rows. Return the stack's settings with it."""
    base, _, _ = stack.settings.database_url.rpartition("/")
    reader, _, _ = stack.settings.reader_database_url.rpartition("/")
    settings = replace(
        stack.settings,
        database_url=f"{base}/{name}",
        reader_database_url=f"{reader}/{name}",
        checkpoint_dir=str(stack.folder / "checkpoints" / name),
    )
    command = [str(version.bin / "python"), "-m", "infra", "initialise"]
    log = stack.log_folder / f"initialise_{name}.log"
    with process(command, stack, settings, log, version) as started:
        if started.wait():
            raise StackError(f"{command} failed: {log.read_text()[-2000:]}")
    return settings


@contextmanager
def process(
    command: Sequence[str], stack: Stack, settings: Settings, log: Path, version: Version = THIS
) -> Iterator[psutil.Popen]:
    """Run a command in a version's folder, with its output in `log`. Stop it after the block, with
    its children.
    """
    environment = os.environ | replace(stack, settings=settings).environment()
    environment |= version.environment()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = psutil.Popen(
            command,
            cwd=version.folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield started
        finally:
            _end(started)


def _end(started: psutil.Popen) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if started.poll() is None:
            os.killpg(started.pid, number)
            psutil.wait_procs([started], timeout=STOP_LIMIT)


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.machine()}, CPython {python}"


def table(rows: Iterable[Mapping[str, object]]) -> str:
    """Return a table whose columns are the first row's keys, right-aligned except for the first."""
    rows = list(rows)
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        ).rstrip()
        for line in lines
    )


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Return the median, with the minimum and the maximum in brackets if they differ."""
    low, middle, high = (
        f"{each:,.{digits}f}" for each in (min(values), median(values), max(values))
    )
    return middle if low == high else f"{middle} ({low} to {high})"
