"""Run a program that uses a client library, in that library's environment."""

import json
from pathlib import Path
from typing import Any

from infra.paths import PROJECT
from tests.support.process import run

PROGRAMS = Path(__file__).parent / "programs"
ENVIRONMENTS = PROJECT / ".tools/clients"

DEADLINE = 120.0
"""Timeout of a program in seconds; each takes less than 10 s on an idle machine."""


class Reports:
    """The output of a program: a name and a value in each line."""

    def __init__(self, lines: list[str]) -> None:
        # The library may print other lines.
        self._reports = [tuple(json.loads(line)) for line in lines if line.startswith('["')]

    def of(self, name: str) -> list[Any]:
        return [value for what, value in self._reports if what == name]

    def one(self, name: str) -> Any:
        """Return the only value of a name. Raise AssertionError if there are none or several."""
        values = self.of(name)
        assert len(values) == 1, f"{name}: {values}, of {self._reports}"
        return values[0]


def run_program(library: str, address: str) -> Reports:
    """Run the program of a library against an exchange at `host:port`.

    Raise AssertionError if it fails or its environment is missing.
    """
    python = ENVIRONMENTS / library / "bin/python"
    assert python.exists(), f"{python} is missing: run make test-clients"
    program = PROGRAMS / f"use_{library}.py"
    return Reports(run([python, program, address], deadline=DEADLINE).stdout.splitlines())
