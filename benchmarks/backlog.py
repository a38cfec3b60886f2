"""A backlog in Kafka to Postgres: the live job, and rivals on the same topics.

    make benchmark-backlog                     20 million ticks
    make benchmark-backlog TICKS=2000000

The live job takes all of it: live_prices, candles and dead letters, each number checked. Its time counts
from the start of its first transaction to its last commit, cold JVM included, while the second query reads
the small topics. A rival runs for RIVAL_SECONDS, its first batch left out, and does less: Quix Streams keeps
all fields, as text, of the latest ticker or, without a key, of every one; the two of Spark keep price,
sequence and time of the latest. None makes candles or dead letters: what can't be read is lost, or ends it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg2
from psycopg2.extensions import connection

from benchmarks.backlog_topic import fill
from benchmarks.measuring import machine, megabytes, own_stack, process, table, with_database
from infra import places
from infra.stack import Stack, StackError

PYTHON = str(places.VENV_BIN / "python")
SPARK_SUBMIT = str(places.VENV_BIN / "spark-submit")
QUIX_PYTHON = str(places.PROJECT / ".tools" / "rivals" / "bin" / "python")
IVY_SETTINGS = str(places.PROJECT / "infra" / "jars" / "ivysettings.xml")
JDBC = [
    *("--packages", "org.postgresql:postgresql:42.7.13"),
    *("--conf", f"spark.jars.ivySettings={IVY_SETTINGS}"),
]
QUIX_RIVAL = "benchmarks/rivals/quix.py"
SPARK_RIVAL = "benchmarks/rivals/spark_sink.py"

RIVALS = {
    "Quix Streams, PostgreSQL sink, upsert": [QUIX_PYTHON, QUIX_RIVAL, "upsert"],
    "Quix Streams, PostgreSQL sink, append": [QUIX_PYTHON, QUIX_RIVAL, "append"],
    "Spark, JDBC append and merge": [SPARK_SUBMIT, *JDBC, SPARK_RIVAL, "jdbc"],
    "Spark, execute_values": [SPARK_SUBMIT, SPARK_RIVAL, "execute_values"],
    "confluent-kafka and orjson alone": [PYTHON, "-m", "benchmarks.rivals.bare"],
}

RIVAL_SECONDS = 60.0
START_LIMIT = 300.0
LIVE_LIMIT = 1800.0

DONE = """
SELECT count(*), extract(epoch FROM max(committed_at) - min(started_at))::float8,
    (SELECT coalesce(sum(updates), 0) FROM candles_1m)::bigint
FROM batches
"""


class Result(NamedTuple):
    """`memory` in MB, each second."""

    ticks: int
    seconds: float
    memory: list[float]

    @property
    def rate(self) -> float:
        return self.ticks / self.seconds


def watched(started: psutil.Popen, log: Path, is_done: Callable[[], bool]) -> list[float]:
    """Memory in MB, each second until it is done. Raises StackError when the process ends before."""
    memory = []
    while not is_done():
        if started.poll() is not None:
            raise StackError(f"{started.args} ended: {log.read_text()[-2000:]}")
        memory.append(megabytes(started))
        time.sleep(1)
    return memory


def live_job(stack: Stack, ticks: int) -> Result:
    settings = with_database(stack, "live")
    log = stack.log_folder / "live.log"
    command = [SPARK_SUBMIT, "spark_jobs/live_prices.py"]
    limit = time.monotonic() + LIVE_LIMIT
    with (
        process(command, stack, settings, log) as started,
        closing(psycopg2.connect(settings.database_url)) as database,
    ):
        database.autocommit = True

        def is_done() -> bool:
            if time.monotonic() > limit:
                raise StackError(f"not done after {LIVE_LIMIT:.0f} s")
            return done(database)[2] >= ticks

        memory = watched(started, log, is_done)
        _batches, seconds, counted = done(database)
    return Result(counted, seconds, memory)


def done(database: connection) -> tuple[int, float, int]:
    """Batches, seconds and ticks."""
    with database.cursor() as statements:
        statements.execute(DONE)
        ((batches, seconds, ticks),) = statements.fetchall()
    return batches, seconds, ticks


def rival(stack: Stack, number: int, command: list[str], ticks: int) -> Result:
    settings = with_database(stack, f"rival_{number}")
    log = stack.log_folder / f"rival_{number}.log"
    limit = time.monotonic() + START_LIMIT

    def is_done() -> bool:
        said = list(progress(log))
        if len(said) < 2:
            if time.monotonic() > limit:
                raise StackError(f"{command} did nothing: {log.read_text()[-2000:]}")
            return False
        return said[-1][1] - said[0][1] > RIVAL_SECONDS or said[-1][0] >= ticks

    with process(command, stack, settings, log) as started:
        memory = watched(started, log, is_done)
    said = list(progress(log))
    (first, began), (last, _) = said[0], said[-1]
    # What is idle at the end says the same number again and again.
    ended = next(at for count, at in said if count == last)
    return Result(last - first, ended - began, memory)


def progress(log: Path) -> Iterator[tuple[int, float]]:
    """What the rival says: ticks so far, and the time."""
    for line in log.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and int(words[0]):
            yield int(words[0]), float(words[1])


def report(results: dict[str, Result]) -> str:
    quickest = results["live_prices"]
    return table(
        {
            "": name,
            "ticks/s": f"{result.rate:,.0f}",
            "live_prices is": f"{quickest.rate / result.rate:.1f} x",
            "ticks": f"{result.ticks:,}",
            "seconds": f"{result.seconds:.1f}",
            "MB, half-way": f"{result.memory[len(result.memory) // 2]:.0f}",
            "MB, at the end": f"{result.memory[-1]:.0f}",
        }
        for name, result in results.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Backlog in Kafka to Postgres, beside rivals")
    parser.add_argument("--ticks", type=int, default=20_000_000)
    arguments = parser.parse_args()
    with own_stack("backlog") as stack:
        ticks = fill(stack.settings.kafka_bootstrap_servers, arguments.ticks)
        print(f"{machine()}; {ticks:,} ticks in Kafka", flush=True)
        results = {"live_prices": live_job(stack, ticks)}
        print(report(results), flush=True)
        for number, (name, command) in enumerate(RIVALS.items()):
            results[name] = rival(stack, number, command, ticks)
        print(report(results))


if __name__ == "__main__":
    main()
