"""A process of a benchmark: it says when it is ready, and what it found when its input ends."""

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
        self.usage = psutil.Process(process.pid)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{process.args!r} did not become ready")

    def result(self) -> Any:
        """Ends it."""
        said, _ = self._process.communicate("")
        return json.loads(said)


@contextmanager
def child(module: str, *arguments: object, environment: Mapping[str, str]) -> Iterator[Child]:
    """`python -m module`, once it is ready; killed at the end if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment,
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
