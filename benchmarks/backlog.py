"""Measure how fast a backlog moves from Kafka to Postgres, for the live job and for rivals.

    make benchmark-backlog                     20 million ticks, one round
    make benchmark-backlog TICKS=5000000 ROUNDS=3

The contestants run in turn, each alone, on the same topics. Time is measured from the start of the
process, including a cold JVM, to the commit of the last tick. A contestant that is not done after LIMIT
seconds is stopped and measured up to its last commit. CPU is user and system time of the process tree.

The live job does all of its work: prices, candles and dead letters, each number checked. The rivals do
less. Quix Streams keeps nearly all fields as text, of the latest ticker or, without a key, of every
ticker. The three Spark rivals keep price, sequence and time of the latest. None makes candles or dead
letters: unreadable data is lost, or stops the rival.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.measuring import (
    PYTHON,
    SPARK_SUBMIT,
    own_stack,
    process,
    spread,
    with_database,
)
from benchmarks.harness.process_tree import watched
from benchmarks.harness.report import publish
from benchmarks.jobs.backlog_parts import (
    LIVE_JOB,
    Parts,
    batch_rows,
    batches_of,
    cpu_rows,
    parts_of,
    start_rows,
)
from benchmarks.jobs.backlog_run import Progress, Run
from benchmarks.jobs.backlog_topic import fill
from core.settings import Settings
from infra import paths
from infra.ports import free_ports
from infra.stack import Stack, StackError

QUIX_PYTHON = str(paths.TOOLS / "rivals" / "bin" / "python")
IVY_SETTINGS = str(paths.PROJECT / "infra" / "jars" / "ivysettings.xml")
JDBC = [
    *("--packages", "org.postgresql:postgresql:42.7.13"),
    *("--conf", f"spark.jars.ivySettings={IVY_SETTINGS}"),
]
# The rivals run mostly in code that Spark generates. It gains from HotSpot's optimising compiler, which
# the jobs disable.
BOTH_COMPILERS = [
    "--driver-java-options",
    "-Duser.timezone=UTC -XX:-DontCompileHugeMethods -XX:+UseParallelGC",
]
QUIX_RIVAL = "benchmarks/rivals/quix.py"
SPARK_RIVAL = "benchmarks/rivals/spark_sink.py"

RIVALS = {
    "Quix Streams, PostgreSQL sink with a key": [QUIX_PYTHON, QUIX_RIVAL, "upsert"],
    "Quix Streams, PostgreSQL sink, append": [QUIX_PYTHON, QUIX_RIVAL, "append"],
    "Spark, execute_values": [SPARK_SUBMIT, *BOTH_COMPILERS, SPARK_RIVAL, "execute_values"],
    "Spark, execute_values, tuned": [
        *(SPARK_SUBMIT, *BOTH_COMPILERS),
        "benchmarks/rivals/spark_tuned.py",
    ],
    "Spark, JDBC append and merge": [
        *(SPARK_SUBMIT, *BOTH_COMPILERS, *JDBC),
        *(SPARK_RIVAL, "jdbc"),
    ],
    "confluent-kafka and orjson alone": [PYTHON, "-m", "benchmarks.rivals.bare"],
}

LIMIT = 300.0


class Contest(NamedTuple):
    """One stack with a full Kafka. Every run uses a new database."""

    stack: Stack
    ticks: int
    numbers: Iterator[int]

    def live_job(self) -> tuple[Run, Parts]:
        (page,) = free_ports(1)
        command = [SPARK_SUBMIT, "--conf", f"spark.ui.port={page}", "spark_jobs/live_prices.py"]
        with self._run(command, committed) as (run, settings, log):
            return run, parts_of(run, settings, log, page)

    def rival(self, command: list[str]) -> Run:
        with self._run(command, printed) as (run, _settings, _log):
            return run

    @contextmanager
    def _run(
        self, command: list[str], progress: Callable[[Settings, Path], list[Progress]]
    ) -> Iterator[tuple[Run, Settings, Path]]:
        """Run a contestant until the last tick is committed, or LIMIT. Stop it at the end of the block."""
        name = f"run_{next(self.numbers)}"
        settings = with_database(self.stack, name)
        log = self.stack.log_folder / f"{name}.log"

        def is_done() -> bool:
            reached = progress(settings, log)
            return bool(reached) and reached[-1].ticks >= self.ticks

        with process(command, self.stack, settings, log) as started:
            samples = watched(started, log, is_done, LIMIT)
            reached = progress(settings, log)
            if len(reached) < 2:
                raise StackError(f"{command} committed too little: {log.read_text()[-2000:]}")
            yield Run(started.create_time(), reached, samples), settings, log


def committed(settings: Settings, _log: Path) -> list[Progress]:
    return [Progress(batch.ticks, batch.committed_at) for batch in batches_of(settings)]


def printed(_settings: Settings, log: Path) -> list[Progress]:
    """Return the progress that a rival printed. An idle rival repeats lines; the first counts."""
    first_seen: dict[int, float] = {}
    for line in log.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and int(words[0]):
            first_seen.setdefault(int(words[0]), float(words[1]))
    return [Progress(ticks, at) for ticks, at in first_seen.items()]


def row(name: str, runs: Sequence[Run], ours: Sequence[Run]) -> dict[str, str]:
    def of(figure: Callable[[Run], float], digits: int = 0) -> str:
        return spread([figure(run) for run in runs], digits)

    ratios = [run.rate / our.rate for run, our in zip(runs, ours, strict=True)]
    return {
        "": name,
        "ticks/s": of(lambda run: run.rate),
        "of the live job": f"{spread(ratios, 2)} x",
        "after the first batch": of(lambda run: run.steady_rate),
        "ticks": of(lambda run: run.ticks),
        "s": of(lambda run: run.seconds, 1),
        "CPU s": of(lambda run: run.cpu, 1),
        "CPU us/tick": of(lambda run: run.cpu_of_a_tick, 2),
        "MB at the end": of(lambda run: run.samples[-1].megabytes),
        "most": of(lambda run: max(each.megabytes for each in run.samples)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Backlog in Kafka to Postgres, beside rivals")
    parser.add_argument("--ticks", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = defaultdict(list)
    parts: list[Parts] = []
    with own_stack("backlog") as stack:
        ticks = fill(stack.settings.kafka_bootstrap_servers, arguments.ticks)
        contest = Contest(stack, ticks, count())
        for number in range(1, arguments.rounds + 1):
            run, of_run = contest.live_job()
            runs[LIVE_JOB].append(run)
            parts.append(of_run)
            print(f"round {number}: {LIVE_JOB} {run.rate:,.0f} ticks/s", flush=True)
            for name, command in RIVALS.items():
                runs[name].append(contest.rival(command))
                print(f"round {number}: {name} {runs[name][-1].rate:,.0f} ticks/s", flush=True)
    publish(
        "backlog",
        f"{ticks:,} ticks in Kafka, {arguments.rounds} rounds in turn: median (least to most)",
        [row(name, each, runs[LIVE_JOB]) for name, each in runs.items()],
        start_rows(parts),
        batch_rows(parts),
        cpu_rows(parts),
    )


if __name__ == "__main__":
    main()
