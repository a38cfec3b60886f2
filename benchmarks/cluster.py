"""A backlog in Kafka to Postgres and to raw/, with one executor of one core and with two.

    make benchmark-cluster                                10 million ticks, three runs of each
    make benchmark-cluster TICKS=2000000 JOB=raw_archive

Beside the standalone cluster, whose executors are processes of their own, the same in the driver's own
process: local[1] and local[2]. Time counts from the end of the first batch, in which the JVMs compile, to
that of the last. `task us/tick` is the time of tasks for each tick, and `Python us/tick` the CPU time of
their Python workers: where these stay the same, a worker does as much beside another as alone. Where the
machine has no core left, tasks wait for one, and only the CPU time compares. `tasks` is the share of the time
in which Spark's cores had a task, `Postgres` that in which the live job's connection had a statement
running, `machine` that in which this machine's cores were busy.
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

from benchmarks.backlog_topic import fill
from benchmarks.measuring import own_stack, process, spread, with_database
from benchmarks.process_tree import WORKERS, sample
from benchmarks.report import Rows, publish
from infra.ports import free_ports
from infra.services import object_store
from infra.spark_cluster import executors, spark_cluster, submit
from infra.stack import Stack, StackError

JOBS = ("live_prices", "raw_archive")
# How it is called, how many cores it has, and whether they are executors of a cluster.
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
    """When it was reported, how many messages it had, and how many were left in Kafka."""

    ended_at: float
    messages: int
    left: int


class Run(NamedTuple):
    """Ticks a second, microseconds for a tick, and shares of the time."""

    rate: float
    task: float
    python: float
    tasks: float
    postgres: float
    machine: float


def batches(log: Path, query: str) -> list[Batch]:
    """Of the lines that the job writes for them: see spark_jobs.run.batch_reports."""
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


def measured(stack: Stack, job: str, place: tuple[str, int, bool], ticks: int, number: int) -> Run:
    name, cores, _is_cluster = place
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
        master(stack.folder / f"{job}_{number}", *place) as url,
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
            raise StackError(f"{ticks:,} ticks came in one batch: too few to measure")
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
    """What all tasks took so far."""
    return sum(int(each["totalDuration"]) for each in executors(page)) / 1000


def python_seconds() -> float:
    """What all Python workers took so far. The job and the cluster are children of this process."""
    return sample(psutil.Process()).cpu.get(WORKERS, 0.0)


def is_active(database: connection) -> bool:
    with database.cursor() as cursor:
        cursor.execute(ACTIVE)
        ((count,),) = cursor.fetchall()
    return bool(count)


def rows(job: str, runs: dict[str, list[Run]]) -> Rows:
    """Return the medians; where runs differ, the least and the most too."""
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
                for place in (*MASTERS, *CLUSTERS):
                    number += 1
                    runs[place[0]].append(measured(stack, job, place, ticks, number))
                    print(f"{job} {place[0]}: {runs[place[0]][-1].rate:,.0f} ticks/s", flush=True)
            tables.append(rows(job, runs))
    publish("cluster", f"{ticks:,} ticks in Kafka, {arguments.runs} rounds in turn", *tables)


if __name__ == "__main__":
    main()
