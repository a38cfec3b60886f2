"""Run a benchmark's child process, which prints "ready" and, when its input ends, a result as JSON."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil

from infra import paths


class Child:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.running = psutil.Process(process.pid)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{process.args!r} did not become ready")

    def result(self) -> Any:
        """Close the process's input, and return the result that it prints."""
        printed, _ = self._process.communicate("")
        return json.loads(printed)


@contextmanager
def child(
    module: str,
    *arguments: object,
    environment: Mapping[str, str],
    python: str = sys.executable,
) -> Iterator[Child]:
    """Run `python -m module` and yield once it is ready. Kill it at the end if it still runs."""
    # Keep stdout buffered: an unbuffered print writes once, and loses the rest if a signal interrupts it.
    process = subprocess.Popen(
        [python, "-m", module, *map(str, arguments)],
        env={**environment, "PYTHONUNBUFFERED": ""},
        cwd=paths.PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Child(process)
        finally:
            process.kill()
