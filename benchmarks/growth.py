"""Measure how the live job's CPU time grows with ticks per second and with the number of symbols.

    make benchmark-growth
    make benchmark-growth SECONDS_LONG=10

One live job on real Kafka runs through all steps. The messages of a step are built in advance, so that
the load costs little CPU, and are sent evenly over each second. A step ends when everything is
committed: if the machine can't keep up with a rate, the step takes longer. Reading and reducing is the
CPU time of the Python workers and of the tasks' threads in the JVM.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import psutil
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.harness.measuring import own_stack, process, with_database
from benchmarks.harness.process_tree import WORKERS, Sample, sample
from benchmarks.harness.report import FOLDER, Rows, publish
from benchmarks.harness.sending import producer, send
from benchmarks.harness.spark_page import SparkJobs, jobs_of
from benchmarks.harness.ticks import messages
from benchmarks.harness.versions import THIS
from benchmarks.jobs.backlog_parts import LIVE_JOB, batches_of
from core.settings import Settings
from infra.ports import free_ports
from infra.stack import StackError
from infra.waiting import wait_until

PLOT = FOLDER / "growth.svg"

WARM_SECONDS = 30
STEP_WARM_SECONDS = 5
COMMIT_LIMIT = 300.0
KEPT = "10000"
"""Number of jobs and stages that Spark's page retains."""


class Step(NamedTuple):
    """Ticks per second, and the number of symbols."""

    rate: int
    symbols: int


FEWEST = 2_600
MIDDLE = Step(20_000, FEWEST)
BY_RATE = (Step(4_000, FEWEST), MIDDLE, Step(100_000, FEWEST))
BY_SYMBOLS = (MIDDLE, Step(20_000, 20_000), Step(20_000, 100_000))
STEPS = tuple(dict.fromkeys((*BY_RATE, *BY_SYMBOLS)))


class Result(NamedTuple):
    """Seconds for all ticks of a step, and CPU microseconds per tick by part."""

    ticks: int
    seconds: float
    batches: int
    workers: float
    tasks: float
    whole: float

    @property
    def reading(self) -> float:
        return self.workers + self.tasks


class Live:
    """The running job, and the number of ticks sent to it."""

    def __init__(self, job: psutil.Popen, settings: Settings) -> None:
        self._job = job
        self._settings = settings
        self._producer = producer(settings.kafka_bootstrap_servers)
        self._sent = 0

    def take(self, step: Step, seconds: int) -> tuple[Sample, Sample, int]:
        """Send a step's messages and wait for their commit. Return samples before and after, and the
        number of ticks.
        """
        made = list(messages(seconds, time.time_ns() // 1000, *step))
        before, began = sample(self._job), time.monotonic()
        for number, message in enumerate(made):
            due = began + seconds * number / len(made)
            self._producer.poll(max(0.0, due - time.monotonic()))
            time.sleep(max(0.0, due - time.monotonic()))
            send(self._producer, message)
        self._producer.flush()
        ticks = sum(message.ticks for message in made)
        self._sent += ticks
        if not wait_until(self._is_committed, deadline=COMMIT_LIMIT):
            raise StackError(f"{step}: not everything was committed within {COMMIT_LIMIT:.0f} s")
        return before, sample(self._job), ticks

    def _is_committed(self) -> bool:
        batches = batches_of(self._settings)
        return bool(batches) and batches[-1].ticks >= self._sent


def result(before: Sample, after: Sample, ticks: int, jobs: Sequence[SparkJobs]) -> Result:
    mine = [job for job in jobs if before.at <= job.began < after.at]
    workers = after.cpu.get(WORKERS, 0.0) - before.cpu.get(WORKERS, 0.0)
    return Result(
        ticks,
        after.at - before.at,
        len(mine),
        1e6 * workers / ticks,
        1e6 * sum(job.cpu for job in mine) / ticks,
        1e6 * (after.seconds - before.seconds) / ticks,
    )


def rows(results: dict[Step, Result]) -> Rows:
    return [
        {
            "ticks/s": f"{step.rate:,}",
            "symbols": f"{step.symbols:,}",
            "s for a second's ticks": f"{found.seconds * step.rate / found.ticks:.2f}",
            "ticks/batch": f"{found.ticks / found.batches:,.0f}",
            "us/tick: Python workers": f"{found.workers:.2f}",
            "tasks in the JVM": f"{found.tasks:.2f}",
            "reading and reducing": f"{found.reading:.2f}",
            "the whole job": f"{found.whole:.2f}",
        }
        for step, found in results.items()
    ]


def plot(results: dict[Step, Result], file: Path) -> None:
    # A fixed salt: the same figures produce the same file.
    mpl.rcParams["svg.hashsalt"] = "growth"
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
    lines(left, BY_RATE, [step.rate for step in BY_RATE], results)
    left.set(xlabel=f"ticks a second, {FEWEST:,} symbols", ylabel="CPU time of a tick, µs")
    lines(right, BY_SYMBOLS, [step.symbols for step in BY_SYMBOLS], results)
    right.set(xlabel=f"symbols, {MIDDLE.rate:,} ticks a second")
    right.legend()
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def lines(
    axes: Axes, steps: Sequence[Step], at: Sequence[int], results: dict[Step, Result]
) -> None:
    axes.plot(at, [results[step].whole for step in steps], "o-", label="the whole job")
    axes.plot(at, [results[step].reading for step in steps], "o-", label="reading and reducing")
    axes.set_xscale("log")
    axes.set_xticks(at, [f"{each:,}" for each in at])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time of a tick by rate and number of symbols")
    parser.add_argument("--seconds", type=int, default=20)
    seconds = parser.parse_args().seconds
    (page,) = free_ports(1)
    settings_of_page = {"port": str(page), "retainedJobs": KEPT, "retainedStages": KEPT}
    confs = [f"--conf=spark.ui.{name}={value}" for name, value in settings_of_page.items()]
    command = [str(THIS.bin / "spark-submit"), *confs, f"spark_jobs/{LIVE_JOB}.py"]
    taken: dict[Step, tuple[Sample, Sample, int]] = {}
    with own_stack("growth") as stack:
        settings = with_database(stack, "growth")
        with process(command, stack, settings, stack.log_folder / "job.log") as started:
            live = Live(started, settings)
            live.take(MIDDLE, WARM_SECONDS)
            for step in STEPS:
                live.take(step, STEP_WARM_SECONDS)
                taken[step] = live.take(step, seconds)
                print(f"{step}: {taken[step][2]:,} ticks", flush=True)
            jobs = list(jobs_of(page, LIVE_JOB).values())
    results = {step: result(*each, jobs) for step, each in taken.items()}
    publish("growth", f"{seconds} s for each step", rows(results))
    plot(results, PLOT)


if __name__ == "__main__":
    main()
