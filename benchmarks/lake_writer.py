"""Writes what Kafka holds to the lake, and says what it cost: benchmarks/lake_writer.py WHAT

One line of JSON. `raw` and `tickers` are written as a stream, by the job's own code. `commits` writes the
tickers of a second at a time, `default_commits` the same to a table without properties.
"""

import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs import ticker_table
from spark_jobs.archive import Archive
from spark_jobs.batch_end import batch_end
from spark_jobs.items import explode_items
from spark_jobs.lake import MESSAGES_PER_BATCH, lake_query, lake_root
from spark_jobs.normalise import normalise
from spark_jobs.running import fresh_checkpoint
from spark_jobs.session import spark_session
from spark_jobs.sink import Sink
from spark_jobs.sources import (
    Offsets,
    PartitionOffsets,
    kafka_records,
    kept_records,
    partitions_of_topics,
)
from spark_jobs.storage import Storage
from spark_jobs.ticker_table import TickerTable

COMMITS, WARMING = 30, 10
KEPT_DAYS = 90


def backlog(spark: SparkSession, settings: Settings, what: str) -> dict[str, float]:
    servers, root = settings.kafka_bootstrap_servers, f"{lake_root(settings)}/benchmark"
    with TemporaryDirectory() as folder:
        checkpoint = fresh_checkpoint(folder, what)
        records = kafka_records(spark, servers, EXCHANGE_OF_TOPIC, {}, MESSAGES_PER_BATCH)
        sink: Sink
        if what == "raw":
            rows, sink = records, Archive(spark, root)
            sink.resume(partitions_of_topics(servers, EXCHANGE_OF_TOPIC))
        else:
            rows = records.transform(explode_items).transform(normalise)
            sink = TickerTable(spark, root, partial(batch_end, checkpoint), KEPT_DAYS)
            sink.resume()
        began, used = time.monotonic(), cpu_seconds()
        query = lake_query(rows, sink, checkpoint).trigger(availableNow=True).start()
        query.awaitTermination()
        seconds, cpu = time.monotonic() - began, cpu_seconds() - used
    size = sum(file.size for file in Storage(spark, root).files(f"{root}/{what}"))
    return {"seconds": seconds, "cpu": cpu, "bytes": size}


def commits(spark: SparkSession, settings: Settings, what: str) -> dict[str, float]:
    end: Offsets = {}
    table = TickerTable(spark, f"{lake_root(settings)}/{what}", lambda: end, KEPT_DAYS)
    table.resume()
    took = []
    for number, (batch, after) in enumerate(seconds_of_ticks(spark, settings)):
        end = after
        began = time.monotonic()
        table.write(batch, number)
        took.append(time.monotonic() - began)
    warm = took[WARMING:]
    return {"median": median(warm), "least": min(warm), "most": max(warm), "commits": len(warm)}


def seconds_of_ticks(
    spark: SparkSession, settings: Settings
) -> Iterator[tuple[DataFrame, Offsets]]:
    """A message of each partition at a time, and the offsets that come next."""
    servers = settings.kafka_bootstrap_servers
    partitions = partitions_of_topics(servers, EXCHANGE_OF_TOPIC)
    for first, end in pairwise(range(COMMITS + 1)):
        oldest: PartitionOffsets = {
            topic: {str(number): first for name, number in partitions if name == topic}
            for topic in EXCHANGE_OF_TOPIC
        }
        after = dict.fromkeys(partitions, end)
        records = kept_records(spark, servers, oldest, after)
        yield records.transform(explode_items).transform(normalise), after


def cpu_seconds() -> float:
    """Of this process and of the JVM, which started it."""
    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.parents()[:1])]
    return sum(each.user + each.system for each in times)


def main(what: str) -> None:
    spark, settings = spark_session(what), Settings.from_environment()
    if what == "default_commits":
        ticker_table.PROPERTIES.clear()
    run = commits if what.endswith("commits") else backlog
    print(json.dumps(run(spark, settings, what)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
