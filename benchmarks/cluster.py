"""Measure a backlog from Kafka to Postgres and to raw/, with one and with two single-core executors.

    make benchmark-cluster                                10 million ticks, three runs of each
    make benchmark-cluster TICKS=2000000 JOB=raw_archive

The same is measured inside the driver's process, with local[1] and local[2]. Time is measured from the
end of the first batch, in which the JVMs compile, to the end of the last. `task us/tick` is the duration
of tasks per tick, `Python us/tick` the CPU time of their Python workers: if these stay the same, a
second worker does not slow the first one down. If the machine has no idle core, tasks wait for one, and
only the CPU time is comparable. `tasks` is the share of time in which Spark's cores had a task,
`Postgres` that in which the live job's connection ran a statement, and `machine` that in which this
machine's cores were busy.
"""

import argparse
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import psycopg2
from psycopg2.extensions import connection

from benchmarks.harness.measuring import own_stack, process, spread, with_database
from benchmarks.harness.process_tree import WORKERS, sample
from benchmarks.harness.report import Rows, publish
from benchmarks.jobs.backlog_topic import fill
from infra.ports import free_ports
from infra.services import object_store
from infra.spark_cluster import executors, spark_cluster, submit
from infra.stack import Stack, StackError

JOBS = ("live_prices", "raw_archive")
# Name, number of cores, and whether the cores are executors of a cluster.
MASTERS = (("local[1]", 1, False), ("local[2]", 2, False))
CLUSTERS = (("one worker", 1, True), ("two workers", 2, True))
ONE = CLUSTERS[0][0]

RUN_LIMIT = 900.0
SAMPLE_SECONDS = 0.02

ACTIVE = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'PriceSink' AND state = 'active' AND datname = current_database()
"""


class Batch(NamedTuple):
    """Time of a batch's report, its number of messages, and the number left in Kafka."""

    ended_at: float
    messages: int
    left: int


class Run(NamedTuple):
    """Ticks per second, microseconds per tick, and shares of the time."""

    rate: float
    task: float
    python: float
    tasks: float
    postgres: float
    machine: float


def batches(log: Path, query: str) -> list[Batch]:
    """Return the batches in the job's log: see spark_jobs.run.batch_reports."""
    line = rf"^(\S+) .* query={query} batch=\d+ messages=(\d+) .*lag_messages=(\d+)"
    return [
        Batch(datetime.fromisoformat(at).timestamp(), int(messages), int(left))
        for at, messages, left in re.findall(line, log.read_text(), re.MULTILINE)
    ]


@contextmanager
def master(folder: Path, name: str, cores: int, is_cluster: bool) -> Iterator[str]:
    if not is_cluster:
        yield name
        return
    with spark_cluster(folder, cores) as url:
        yield url


def measured(
    stack: Stack, job: str, cluster: tuple[str, int, bool], ticks: int, number: int
) -> Run:
    name, cores, _is_cluster = cluster
    settings = replace(
        with_database(stack, f"{job}_{number}"),
        s3_bucket=f"{job.replace('_', '-')}-{number}",
        lake_batch_seconds=1,
    )
    object_store.initialise(settings)
    log = stack.log_folder / f"{job}_{number}.log"
    (page,) = free_ports(1)
    limit = time.monotonic() + RUN_LIMIT
    statements: list[tuple[float, bool]] = []
    worked: list[tuple[float, float]] = []
    with (
        master(stack.folder / f"{job}_{number}", *cluster) as url,
        process(
            [*submit(url, cores, page), f"spark_jobs/{job}.py"], stack, settings, log
        ) as started,
        closing(psycopg2.connect(settings.database_url)) as database,
    ):
        database.autocommit = True
        while not (found := batches(log, job)) or found[-1].left:
            if started.poll() is not None or time.monotonic() > limit:
                raise StackError(f"{job} on {name} did not end: {log.read_text()[-2000:]}")
            if found and not worked:
                worked.append((task_seconds(page), python_seconds()))
                psutil.cpu_percent()
            statements.append((time.time(), is_active(database)))
            time.sleep(SAMPLE_SECONDS)
        busy = psutil.cpu_percent() / 100
        if not worked:
            raise StackError(f"{ticks:,} ticks fitted into one batch: too few to measure")
        worked.append((task_seconds(page), python_seconds()))
    first, last = found[0], found[-1]
    seconds = last.ended_at - first.ended_at
    share = 1 - first.messages / sum(batch.messages for batch in found)
    active = [is_busy for at, is_busy in statements if first.ended_at <= at <= last.ended_at]
    in_tasks, in_python = (after - before for before, after in zip(*worked, strict=True))
    return Run(
        ticks * share / seconds,
        1e6 * in_tasks / (ticks * share),
        1e6 * in_python / (ticks * share),
        in_tasks / seconds / cores,
        sum(active) / len(active),
        busy,
    )


def task_seconds(page: int) -> float:
    """Return the total duration of all tasks so far, in seconds."""
    return sum(int(each["totalDuration"]) for each in executors(page)) / 1000


def python_seconds() -> float:
    """Return the CPU seconds of all Python workers. Job and cluster are children of this process."""
    return sample(psutil.Process()).cpu.get(WORKERS, 0.0)


def is_active(database: connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute(ACTIVE)
        ((count,),) = cursor.fetchall()
    return bool(count)


def rows(job: str, runs: dict[str, list[Run]]) -> Rows:
    """Return the medians; of rates and times per tick, also minimum and maximum if runs differ."""
    one = median(run.rate for run in runs[ONE])
    return [
        {
            job: name,
            "ticks/s": spread([run.rate for run in of_master]),
            "task us/tick": spread([run.task for run in of_master], 2),
            "Python us/tick": spread([run.python for run in of_master], 2),
            f"of {ONE}": f"{median(run.rate for run in of_master) / one:.2f} x",
            "tasks": f"{median(run.tasks for run in of_master):.0%}",
            "Postgres": f"{median(run.postgres for run in of_master):.0%}",
            "machine": f"{median(run.machine for run in of_master):.0%}",
        }
        for name, of_master in runs.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="A backlog with one executor and with two")
    parser.add_argument("--ticks", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--job", choices=JOBS, action="append")
    arguments = parser.parse_args()
    with own_stack("cluster") as stack:
        ticks = fill(stack.settings.kafka_bootstrap_servers, arguments.ticks)
        number = 0
        tables: list[Rows] = []
        for job in arguments.job or JOBS:
            runs: dict[str, list[Run]] = defaultdict(list)
            for _ in range(arguments.runs):
                for cluster in (*MASTERS, *CLUSTERS):
                    number += 1
                    name = cluster[0]
                    runs[name].append(measured(stack, job, cluster, ticks, number))
                    print(f"{job} {name}: {runs[name][-1].rate:,.0f} ticks/s", flush=True)
            tables.append(rows(job, runs))
    publish("cluster", f"{ticks:,} ticks in Kafka, {arguments.runs} rounds in turn", *tables)


if __name__ == "__main__":
    main()
