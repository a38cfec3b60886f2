"""Compare the latency of the whole pipeline in this version and in another of the git history, in turn.

    make benchmark-whole-way AGAINST=7ba3d17 ROUNDS=3

Each version is measured by that version's benchmarks/whole_way.py, with that version's code, in a
separate demo.
"""

import argparse
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.harness.measuring import spread
from benchmarks.harness.report import Rows, publish
from benchmarks.harness.versions import THIS, Version, version_of

PERCENTILES = ("p50", "p95", "p99")
LINE = re.compile(r"^(\S.*?) {2,}([\d.]+) +([\d.]+) +([\d.]+)$", re.MULTILINE)

Parts = dict[str, tuple[float, ...]]
"""Seconds of each part, in the order of PERCENTILES."""


def measured(version: Version, seconds: float) -> Parts:
    """Return the figures that the version's benchmark prints. Raise CalledProcessError if it fails."""
    command = [
        str(version.bin / "python"),
        "-m",
        "benchmarks.whole_way",
        "--seconds",
        f"{seconds:g}",
    ]
    environment = os.environ | version.environment()
    printed = subprocess.run(
        command, cwd=version.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return {part: tuple(map(float, figures)) for part, *figures in LINE.findall(printed)}


def rows(name: str, rounds: Sequence[Parts]) -> Rows:
    return [
        {f"seconds, {name}": part}
        | {
            percentile: spread([each[part][index] for each in rounds], 2)
            for index, percentile in enumerate(PERCENTILES)
        }
        for part in rounds[0]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The whole way in two versions, in turn")
    parser.add_argument("--against", type=version_of, required=True, help="a git revision")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    rounds: dict[str, list[Parts]] = defaultdict(list)
    for _ in range(given.rounds):
        for version in (THIS, given.against):
            rounds[version.name].append(measured(version, given.seconds))
    publish(
        "whole_way_versions",
        f"{given.seconds:g} s, {given.rounds} rounds in turn",
        *(rows(name, each) for name, each in rounds.items()),
    )


if __name__ == "__main__":
    main()
