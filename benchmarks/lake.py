"""Measure what the lake costs: a backlog from Kafka to raw/ and to the tickers table, and small commits.

    make benchmark-lake                        5 million ticks
    make benchmark-lake TICKS=1000000

The messages are as extractors would produce them from the replay exchange's market. Each line of the
result measures a separate process that runs the job's code. A backlog is measured from the start of its
query on, in a JVM that has started but is still cold. A commit writes the ticks of one second to the
tickers table; its time includes reading them. The first commits are excluded, because the JVM compiles.
"""

import argparse
import gzip
import json
import time
from typing import Any

from benchmarks.harness.measuring import SPARK_SUBMIT, own_stack, process
from benchmarks.harness.report import publish
from benchmarks.harness.simulated import fill, simulated_seconds
from infra.stack import Stack, StackError

WRITER = "benchmarks/jobs/lake_writer.py"
MILLION = 1_000_000


def written(stack: Stack, what: str) -> dict[str, Any]:
    """Return the figures that lake_writer prints. Raise StackError if it fails."""
    log = stack.log_folder / f"{what}.log"
    command = [SPARK_SUBMIT, WRITER, what]
    with process(command, stack, stack.settings, log) as started:
        status = started.wait()
    lines = log.read_text().splitlines()
    printed = [line for line in lines if line.startswith("{")]
    if status or not printed:
        raise StackError(f"{command} ended with {status}: {lines[-20:]}")
    found: dict[str, Any] = json.loads(printed[-1])
    return found


def gzip_bytes() -> float:
    """Return the bytes per tick of the same messages as gzip JSON."""
    size = ticks = 0
    for second in simulated_seconds(time.time_ns() // MILLION):
        size += len(gzip.compress(b"\n".join(message[3] for message in second)))
        ticks += sum(message[4] for message in second)
        if ticks >= MILLION / 10:
            break
    return size / ticks


def backlog_row(name: str, ticks: int, found: dict[str, Any]) -> dict[str, str]:
    return {
        "backlog": name,
        "ticks/s": f"{ticks / found['seconds']:,.0f}",
        "s of CPU per million": f"{found['cpu'] / ticks * MILLION:.1f}",
        "MB per million": f"{found['bytes'] / ticks:.1f}",
    }


def commit_row(name: str, found: dict[str, Any]) -> dict[str, str]:
    return {
        "a commit of a second's ticks": name,
        "s, median": f"{found['median']:.2f}",
        "least": f"{found['least']:.2f}",
        "most": f"{found['most']:.2f}",
        "commits": str(found["commits"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What the lake costs")
    parser.add_argument("--ticks", type=int, default=5 * MILLION)
    arguments = parser.parse_args()
    with own_stack("lake") as stack:
        ticks = fill(stack.settings, arguments.ticks)
        backlogs = {name: written(stack, name) for name in ("raw", "tickers")}
        if backlogs["tickers"]["rows"] != ticks:
            raise StackError(f"{backlogs['tickers']['rows']} tickers of {ticks} were written")
        commits = [commit_row("price_history", written(stack, "commits"))]
    publish(
        "lake",
        f"{ticks:,} ticks in Kafka",
        [backlog_row(name, ticks, found) for name, found in backlogs.items()],
        commits,
        notes=[f"The same messages as gzip JSON: {gzip_bytes():.1f} MB per million."],
    )


if __name__ == "__main__":
    main()
