"""Print the results of a benchmark, and store them for docs/benchmarks.md."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.harness.measuring import machine, table
from infra import paths

FOLDER = paths.TOOLS / "benchmarks"

Rows = Sequence[Mapping[str, str]]
"""Rows of a table; their keys are the table's columns."""


@dataclass(frozen=True)
class Report:
    """The latest run of a benchmark. `conditions` describes the load and the number of rounds."""

    name: str
    conditions: str
    tables: Sequence[Rows]
    notes: Sequence[str]
    command: str
    day: str


def publish(name: str, conditions: str, *tables: Rows, notes: Sequence[str] = ()) -> None:
    """Print the tables, and store them in place of those of an earlier run."""
    module = sys.modules["__main__"].__spec__
    assert module is not None, "run it by python -m"
    command = " ".join(["python", "-m", module.name, *sys.argv[1:]])
    report = Report(name, conditions, tables, notes, command, time.strftime("%Y-%m-%d"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    _file(name).write_text(json.dumps(asdict(report), indent=1))
    print(f"{machine()}; {conditions}")
    print("\n\n".join([*map(table, tables), *notes]), flush=True)


def spreads(
    title: str, rounds: Sequence[Mapping[str, float]], shown: Callable[[float], str]
) -> Rows:
    """Return a row for each figure of the rounds: its median, and its least and most."""
    return [
        {
            title: name,
            "median": shown(median(found)),
            "spread": f"{shown(min(found))} to {shown(max(found))}",
        }
        for name in rounds[0]
        if (found := [each[name] for each in rounds])
    ]


def published(name: str) -> Report | None:
    """Return the latest run of a benchmark on this machine, None if there is none."""
    file = _file(name)
    return Report(**json.loads(file.read_text())) if file.exists() else None


def _file(name: str) -> Path:
    return FOLDER / f"{name}.json"
