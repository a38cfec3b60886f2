"""Break down the live job's time while it reads a backlog: its start, and the parts of later batches.

Durations come from Spark's progress in the job's log, from Spark's page, and from the table batches,
which has the start and the end of each transaction. CPU time comes from the process tree.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import psycopg2

from benchmarks.harness.measuring import spread
from benchmarks.harness.process_tree import JVM, PYTHON, WORKERS, cpu_at
from benchmarks.harness.report import Rows
from benchmarks.harness.spark_page import jobs_of
from benchmarks.jobs.backlog_run import Run
from core.settings import Settings
from infra.stack import StackError
from infra.waiting import wait_until

LIVE_JOB = "live_prices"

REPORT_LIMIT = 30.0
"""Maximum seconds from a batch's commit until the job's log and Spark's page report it."""

BATCHES = """
SELECT
    extract(epoch FROM started_at)::float8,
    sum(dead_letters + (
        SELECT coalesce(sum((value->>'tickers')::bigint), 0) FROM jsonb_each(reading)
    )) OVER (ORDER BY id)::bigint,
    extract(epoch FROM committed_at)::float8
FROM batches ORDER BY id
"""

# The job's log line per batch has the durations that the table batches lacks: the trigger's and Spark's.
LINE = re.compile(rf"^(\S+) .* query={LIVE_JOB} (batch=.*)$", re.MULTILINE)


class Batch(NamedTuple):
    """A transaction: its start, the ticks committed up to its end, and its end."""

    started_at: float
    ticks: int
    committed_at: float


class Parts(NamedTuple):
    """Times by part: `start` in seconds, `batch` in ms per batch, `tick` in CPU µs per tick."""

    start: Mapping[str, float]
    batch: Mapping[str, float]
    tick: Mapping[str, float]


def batches_of(settings: Settings) -> list[Batch]:
    """Return the batches that the live job has committed."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(BATCHES)
            return [Batch(*row) for row in statements.fetchall()]


def logged(log: Path) -> list[dict[str, float]]:
    """Return the numbers of each line that the job logs after a batch, and the line's time as `at`."""
    lines = []
    for at, words in LINE.findall(log.read_text()):
        pairs = dict(word.split("=", 1) for word in words.split())
        lines.append(
            {"at": datetime.fromisoformat(at).timestamp()}
            | {name: float(value) for name, value in pairs.items()}
        )
    return lines


def parts_of(run: Run, settings: Settings, log: Path, page: int) -> Parts:
    """Return the parts of a finished run while its driver's page, at port `page`, is still up.

    Raise StackError if the log or the page does not report the second batch within REPORT_LIMIT.
    """

    def reported() -> tuple[int, int]:
        return len(logged(log)), len(jobs_of(page, LIVE_JOB))

    if not wait_until(lambda: min(reported()) >= 2, deadline=REPORT_LIMIT):
        in_log, on_page = reported()
        raise StackError(f"{in_log} batches in the log, {on_page} on Spark's page: two are needed")
    lines, batches, jobs = logged(log), batches_of(settings), jobs_of(page, LIVE_JOB)
    # The newest batches may not be reported yet. Exclude the first, in which the JVM compiles.
    later = range(1, min(len(lines), len(batches), len(jobs)))
    first, last = batches[0], batches[later[-1]]
    ticks = last.ticks - first.ticks

    def mean(part: Callable[[int], float]) -> float:
        return 1e3 * fmean(part(number) for number in later)

    transaction = mean(lambda n: batches[n].committed_at - batches[n].started_at)
    tasks = mean(lambda n: jobs[n].took)
    asking = mean(lambda n: lines[n]["latestOffset"] + lines[n]["getBatch"])
    planning = mean(lambda n: lines[n]["queryPlanning"])
    adding = mean(lambda n: lines[n]["addBatch"])
    whole = 1e3 * (last.committed_at - first.committed_at) / len(later)

    def used(part: str | None = None) -> float:
        seconds = cpu_at(run.samples, last.committed_at, part) - cpu_at(
            run.samples, first.committed_at, part
        )
        return 1e6 * seconds / ticks

    in_tasks = 1e6 * sum(jobs[n].cpu for n in later) / ticks
    first_trigger = lines[0]["at"] - lines[0]["triggerExecution"]
    start = first_trigger - run.began
    return Parts(
        {
            "from the start of the process to that of its first batch: JVM, session, Kafka asked": start,
            "the first batch, up to its commit: code is compiled, workers start": first.committed_at
            - first_trigger,
        },
        {
            "tasks: Kafka, Arrow, reading and reducing": tasks,
            "the driver beside the tasks: starts them, takes their rows": adding
            - tasks
            - transaction,
            "planning": planning,
            "Postgres: the transaction": transaction,
            "Kafka asked for its newest offsets": asking,
            "the rest, such as from one batch to the next": whole - adding - planning - asking,
            "in all": whole,
        },
        {
            "Python workers: reading and reducing": used(WORKERS),
            "tasks in the JVM: Kafka, Arrow": in_tasks,
            "the rest of the JVM: driver, compiler, collector": used(JVM) - in_tasks,
            "the driver's Python: Arrow to Postgres": used(PYTHON),
            "in all": used(),
        },
    )


def start_rows(parts: Sequence[Parts]) -> Rows:
    return [
        {"the live job's start": name, "s": spread([each.start[name] for each in parts], 1)}
        for name in parts[0].start
    ]


def batch_rows(parts: Sequence[Parts]) -> Rows:
    return [
        {
            "a batch of the live job": name,
            "ms, mean": spread([each.batch[name] for each in parts]),
            "share": f"{fmean(each.batch[name] / each.batch['in all'] for each in parts):.0%}",
        }
        for name in parts[0].batch
    ]


def cpu_rows(parts: Sequence[Parts]) -> Rows:
    return [
        {"CPU of the live job": name, "us/tick": spread([each.tick[name] for each in parts], 2)}
        for name in parts[0].tick
    ]
