"""Measure how fast the history is read: an audit from Kafka and from `raw/`, and a rebuild.

    make benchmark-history                        5 million ticks
    make benchmark-history TICKS=1000000

The last line is the limit: the audit's reader alone on every core, with messages in memory, without Kafka,
Spark and comparison. Each line above it measures a separate process, including the start of its JVM, after
the jobs have written the replay exchange's market from Kafka to Postgres and the bucket. An audit compares
candles, prices, dead letters, `raw/` and `tickers/`; `landing/` is empty here.
"""

import argparse
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import psycopg2
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks.harness.measuring import SPARK_SUBMIT, own_stack, process
from benchmarks.harness.past_days import minutes_of_messages
from benchmarks.harness.report import publish
from benchmarks.harness.simulated import fill
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from infra.services import object_store, ticker_table
from infra.stack import Stack, StackError
from spark_jobs.history.message_counts import read_and_count
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import kept_offsets
from spark_jobs.lake.raw.names import Name, next_offsets
from spark_jobs.lake.tickers.progress import newest_progress

MILLION = 1_000_000
LIMIT = 1800.0
PAUSE = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the history is read")
    parser.add_argument("--ticks", type=int, default=5 * MILLION)
    arguments = parser.parse_args()
    with own_stack("history") as stack:
        ticks = fill(stack.settings, arguments.ticks)
        run_jobs(stack)
        now = datetime.now(UTC)
        # Everything was received within the last day.
        since = now - timedelta(days=1)
        span = [
            "--from",
            f"{since:%Y-%m-%dT%H:%M}",
            "--to",
            f"{now + timedelta(minutes=1):%Y-%m-%dT%H:%M}",
        ]
        found = {"audit from Kafka": took(stack, "audit", span)}
        expire(stack.settings)
        found["audit from raw/"] = took(stack, "audit", span)
        found["rebuild from raw/"] = took(stack, "rebuild", [])
        found["audit after the rebuild"] = took(stack, "audit", span)
    found["limit: the reader alone on every core"] = ticks / (
        rate_of_reader() * (os.cpu_count() or 1)
    )
    publish(
        "history",
        f"{ticks:,} ticks, one run each",
        [
            {"what": what, "s": f"{seconds:.0f}", "ticks/s": f"{ticks / seconds:,.0f}"}
            for what, seconds in found.items()
        ],
    )


def rate_of_reader() -> float:
    """Return the ticks per second that one core reads and counts, as the audit does."""
    (minute,) = minutes_of_messages(1, time.time_ns() // 1000)
    parts = minute.with_columns(digest=pl.lit(0, pl.Int64)).partition_by("topic", "partition")
    # The first time, memory and caches are cold.
    for _ in range(2):
        began = time.process_time()
        ticks = sum(int(read_and_count(each)["tickers"].sum()) for each in parts)
        seconds = time.process_time() - began
    return ticks / seconds


def run_jobs(stack: Stack) -> None:
    """Run all jobs until Postgres and the bucket have everything that is in Kafka."""
    kept = kept_offsets(stack.settings, EXCHANGE_OF_TOPIC)
    ends = {partition: high for partition, (_low, high) in kept.items() if high}
    log = stack.log_folder / "jobs.log"
    limit = time.monotonic() + LIMIT
    with process([SPARK_SUBMIT, "spark_jobs/jobs.py"], stack, stack.settings, log) as jobs:
        while any(reached(stack.settings) != ends for reached in (in_postgres, in_raw, in_tickers)):
            if jobs.poll() is not None or time.monotonic() > limit:
                raise StackError(f"the jobs did not finish: {log.read_text()[-2000:]}")
            time.sleep(PAUSE)


def in_postgres(settings: Settings) -> Offsets:
    with psycopg2.connect(settings.database_url) as database, database.cursor() as statements:
        statements.execute(
            "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic = ANY(%s)",
            ([*EXCHANGE_OF_TOPIC],),
        )
        return {(topic, number): offset for topic, number, offset in statements.fetchall()}


def in_raw(settings: Settings) -> Offsets:
    pages = object_store.client(settings).get_paginator("list_objects_v2")
    found: dict[tuple[str, int], int] = {}
    for topic in EXCHANGE_OF_TOPIC:
        listed = pages.paginate(Bucket=settings.s3_bucket, Prefix=f"raw/topic={topic}/")
        files = (
            each["Key"].rpartition("/")[2] for page in listed for each in page.get("Contents", [])
        )
        found |= next_offsets(topic, [name for name in map(Name.read, files) if name])
    return found


def in_tickers(settings: Settings) -> Offsets:
    table = ticker_table.opened(settings)
    return {} if table is None else newest_progress(table, table.table_uri).next_offsets


def took(stack: Stack, job: str, arguments: Sequence[str]) -> float:
    """Return a program's duration in seconds. Raise StackError if it fails."""
    log = stack.log_folder / f"{job}.log"
    command = [SPARK_SUBMIT, f"spark_jobs/{job}.py", *arguments]
    began = time.monotonic()
    with process(command, stack, stack.settings, log) as started:
        status = started.wait()
    if status:
        raise StackError(f"{command} ended with {status}: {log.read_text()[-2000:]}")
    return time.monotonic() - began


def expire(settings: Settings) -> None:
    """Delete all records from Kafka, as its retention does after seven days."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    kept = kept_offsets(settings, EXCHANGE_OF_TOPIC)
    befores = [TopicPartition(*partition, high) for partition, (_low, high) in kept.items()]
    for done in admin.delete_records(befores).values():
        done.result()


if __name__ == "__main__":
    main()
