"""Write the messages in Kafka to the lake, and print the cost: benchmarks/jobs/lake_writer.py WHAT

Prints one line of JSON. `raw` and `tickers` are written as a stream, by the job's code. `commits` writes
the tickers of one second at a time.
"""

import json
import sys
import threading
import time
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from pyspark.sql import DataFrame, SparkSession

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.checkpoint_offsets import checkpoint_offsets
from spark_jobs.kafka_source.partitions import partitions_of_topics
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import MESSAGES_PER_BATCH, TASKS, lake_query, lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.run.runner import fresh_checkpoint
from spark_jobs.run.session import spark_session
from spark_jobs.run.sink import Sink

COMMITS, WARMING = 30, 10
MESSAGES_OF_A_SECOND = 8
KEPT_DAYS = 90


def backlog(spark: SparkSession, settings: Settings, what: str) -> dict[str, float]:
    root = f"{lake_root(settings)}/benchmark"
    with TemporaryDirectory() as folder:
        checkpoint = fresh_checkpoint(folder, what)
        records = kafka_records(
            spark, settings, EXCHANGE_OF_TOPIC, {}, MESSAGES_PER_BATCH
        ).coalesce(TASKS)
        sink: Sink
        if what == "raw":
            sink = Archive(spark, root)
            partitions = partitions_of_topics(settings, EXCHANGE_OF_TOPIC)
            sink.resume(partitions, topic_ids(settings, EXCHANGE_OF_TOPIC))
        else:
            sink = TickerTable(spark, root, partial(checkpoint_offsets, checkpoint), KEPT_DAYS)
            sink.resume(topic_ids(settings, EXCHANGE_OF_TOPIC))
        began, used = time.monotonic(), cpu_seconds()
        query = lake_query(records, sink, checkpoint).trigger(availableNow=True).start()
        query.awaitTermination()
        seconds, cpu = time.monotonic() - began, cpu_seconds() - used
    size = HadoopFiles(spark, root).usage(f"{root}/{what}").bytes
    rows = spark.read.format("parquet" if what == "raw" else "delta").load(f"{root}/{what}")
    return {"seconds": seconds, "cpu": cpu, "bytes": size, "rows": rows.count()}


def commits(spark: SparkSession, settings: Settings, what: str) -> dict[str, float]:
    took: list[float] = []
    enough = threading.Event()
    with TemporaryDirectory() as folder:
        checkpoint = fresh_checkpoint(folder, what)
        root = f"{lake_root(settings)}/{what}"
        table = TickerTable(spark, root, partial(checkpoint_offsets, checkpoint), KEPT_DAYS)

        def write(batch: DataFrame, batch_id: int) -> None:
            began = time.monotonic()
            table.write(batch, batch_id)
            took.append(time.monotonic() - began)
            if len(took) == COMMITS:
                table.stop_soon()
                enough.set()

        progress = table.resume(topic_ids(settings, EXCHANGE_OF_TOPIC))
        records = kafka_records(spark, settings, EXCHANGE_OF_TOPIC, progress, MESSAGES_OF_A_SECOND)
        stream = records.writeStream.option("checkpointLocation", checkpoint).foreachBatch(write)
        query = stream.trigger(availableNow=True).start()
        # This raises the error of a query that failed.
        while not enough.is_set() and not query.awaitTermination(1):
            pass
        query.stop()
    if len(took) < COMMITS:
        raise SystemExit(f"{len(took)} commits instead of {COMMITS}: Kafka has too few messages")
    warm = took[WARMING:COMMITS]
    return {"median": median(warm), "least": min(warm), "most": max(warm), "commits": len(warm)}


def cpu_seconds() -> float:
    """Return the CPU seconds of the JVM, which is this process's parent, and of all its children."""
    jvm = psutil.Process().parents()[0]
    times = [each.cpu_times() for each in (jvm, *jvm.children(recursive=True))]
    return sum(
        each.user + each.system + each.children_user + each.children_system for each in times
    )


def main(what: str) -> None:
    spark, settings = spark_session(what), Settings.from_environment(JOBS)
    run = commits if what == "commits" else backlog
    print(json.dumps(run(spark, settings, what)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
