"""Measure the time from produce to commit, at 4,000 ticks per second.

    make benchmark-latency                          ten minutes of the live job alone
    make benchmark-latency JOB=jobs                 the same with the lake's queries in the application
    make benchmark-latency AGAINST=7ba3d17 ROUNDS=3 SECONDS_LONG=120
    make benchmark-latency BACKFILL=1               the job also while the exchanges' candles arrive
    make benchmark-latency JOB=jobs UPKEEP=1 SECONDS_LONG=60    the jobs also while tickers/ is sorted

The contestants run in turn, each on a fresh stack: the job; with AGAINST, the same job of that git
revision, with that revision's libraries and tables; with BACKFILL, the job while topic exchange_candles
receives messages at the rate of a first start; with UPKEEP, the jobs with past days in tickers/, whose
upkeep begins a minute after their start, as the measurement does; and a query that does nothing with its
batches, which shows what Spark itself takes.

Messages are sent on schedule: Binance's once a second, like its feed, and KuCoin's spread over the
second. A tick's latency is from the call of produce() to the commit of the transaction with its message,
from `offsets` and `committed_at` of the table batches (written milliseconds before the commit); both clocks
are this machine's. The first minute is excluded, because the JVM compiles. CPU is that of the job with all
its processes.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2

from benchmarks.harness.measuring import own_stack, process, spread, with_database
from benchmarks.harness.past_days import fill_bucket
from benchmarks.harness.process_tree import sample
from benchmarks.harness.report import Rows, publish
from benchmarks.harness.ticks import TICKS_A_SECOND
from benchmarks.harness.versions import THIS, Version, version_of
from benchmarks.jobs.candle_load import sending_candles
from benchmarks.jobs.latency_load import Load, Partitions, Reached, is_reached, percentile, waits
from core.settings import Settings
from infra.stack import StackError
from infra.waiting import wait_until

WARM_SECONDS = 60
COMMIT_LIMIT = 120.0
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

PAST_DAYS, PAST_MINUTES = 3, 10
MERGED = re.compile(r"merged table=.* seconds=([\d.]+)")

BATCHES = "SELECT offsets, extract(epoch FROM committed_at)::float8 FROM batches ORDER BY id"


class Contestant(NamedTuple):
    """`committed` returns the offsets committed so far, from the settings and the process's log."""

    name: str
    program: str
    version: Version
    committed: Callable[[Settings, Path], Partitions]
    has_backfill: bool = False
    has_upkeep: bool = False


class Result(NamedTuple):
    """`waited` in seconds by the names of SHARES, `cpu` in s/s, memory `before` and `after` in MB.

    `merged` is the duration of the upkeep's merges, in seconds.
    """

    waited: dict[str, float]
    cpu: float
    before: float
    after: float
    merged: float


def in_postgres(settings: Settings, _log: Path) -> Partitions:
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(BATCHES)
            return by_partition(statements.fetchall())


def printed(_settings: Settings, log: Path) -> Partitions:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return by_partition((line["offsets"], line["at"]) for line in lines)


def by_partition(batches: Iterable[tuple[dict[str, Any], float]]) -> Partitions:
    reached: dict[tuple[str, int], tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for topics, at in batches:
        for topic, partitions in topics.items():
            for partition, offset in partitions.items():
                offsets, times = reached[topic, int(partition)]
                offsets.append(offset)
                times.append(at)
    return {partition: Reached(*each) for partition, each in reached.items()}


EMPTY = Contestant("a query that does nothing", "benchmarks/jobs/empty_query.py", THIS, printed)


def measured(contestant: Contestant, seconds: int) -> Result:
    _name, program, version, committed, has_backfill, has_upkeep = contestant
    with own_stack("latency") as stack:
        settings = with_database(stack, "latency", version)
        if has_upkeep:
            fill_bucket(settings, PAST_DAYS, PAST_MINUTES)
        load = Load(settings.kafka_bootstrap_servers)
        log = stack.log_folder / "job.log"
        command = [str(version.bin / "spark-submit"), program]
        candles = (
            sending_candles(settings.kafka_bootstrap_servers) if has_backfill else nullcontext()
        )
        with process(command, stack, settings, log, version) as started, candles:
            load.run(started, WARM_SECONDS)
            warm, before = len(load.sent), sample(started)
            load.run(started, seconds)
            after = sample(started)
            if not wait_until(
                lambda: is_reached(load.sent, committed(settings, log)), deadline=COMMIT_LIMIT
            ):
                raise StackError(
                    f"not everything was committed within {COMMIT_LIMIT:.0f} s:"
                    f" {log.read_text()[-2000:]}"
                )
            waited = waits(load.sent[warm:], committed(settings, log))
            merged = sum(map(float, MERGED.findall(log.read_text())))
        if has_upkeep and not merged:
            raise StackError(f"the upkeep merged nothing: {log.read_text()[-2000:]}")
    return Result(
        {name: percentile(waited, share) for name, share in SHARES.items()},
        (after.seconds - before.seconds) / (after.at - before.at),
        before.megabytes,
        after.megabytes,
        merged,
    )


def rows(results: dict[str, list[Result]], has_upkeep: bool) -> Rows:
    first, *_, empty = results.values()

    def row(name: str, found: Sequence[Result]) -> dict[str, str]:
        ratios = [
            each.waited["p50"] / of.waited["p50"] for each, of in zip(found, first, strict=True)
        ]
        beyond = [
            each.waited["p50"] - of.waited["p50"] for each, of in zip(found, empty, strict=True)
        ]
        return {
            "seconds, produced to committed": name,
            **{share: spread([each.waited[share] for each in found], 2) for share in SHARES},
            f"p50, of {next(iter(results))}": f"{spread(ratios, 2)} x",
            "p50 beyond the empty query's": spread(beyond, 2),
            "CPU s/s": spread([each.cpu for each in found], 2),
            "MB before": spread([each.before for each in found]),
            "after": spread([each.after for each in found]),
            **({"s of merges": spread([each.merged for each in found])} if has_upkeep else {}),
        }

    return [row(name, found) for name, found in results.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="From produced to committed at 4,000 ticks/s")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--job", choices=("live_prices", "jobs"), default="live_prices")
    parser.add_argument("--against", type=version_of, help="a git revision")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--backfill", action="store_true")
    parser.add_argument("--upkeep", action="store_true")
    given = parser.parse_args()
    if given.upkeep and given.job != "jobs":
        parser.error("--upkeep: expected --job jobs, as the other job does not write tickers/")
    versions = [THIS, *([given.against] if given.against else [])]
    contestants = [
        Contestant(f"{given.job}, {each.name}", f"spark_jobs/{given.job}.py", each, in_postgres)
        for each in versions
    ]
    if given.backfill:
        job = contestants[0]
        contestants.append(job._replace(name=f"{job.name}, with candles", has_backfill=True))
    if given.upkeep:
        job = contestants[0]
        contestants.append(job._replace(name=f"{job.name}, with upkeep", has_upkeep=True))
    results: dict[str, list[Result]] = defaultdict(list)
    for number in range(1, given.rounds + 1):
        for each in (*contestants, EMPTY):
            results[each.name].append(measured(each, given.seconds))
            p50 = results[each.name][-1].waited["p50"]
            print(f"round {number}: {each.name}: p50 {p50:.2f} s", flush=True)
    conditions = f"{TICKS_A_SECOND:,} ticks/s for {given.seconds} s, {given.rounds} rounds in turn"
    name = "backfill" if given.backfill else "upkeep" if given.upkeep else given.job
    publish(f"latency_{name}", conditions, rows(results, given.upkeep))


if __name__ == "__main__":
    main()
