"""What the queries into the lake have in common: where they read, how often, and where they write."""

import threading

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.run.sink import Sink

# Half a million tickers or more: a backlog goes in batches that two cores and 1 GB can bear.
MESSAGES_PER_BATCH = 2000

# Each task makes files of its own: as many as there are topics.
TASKS = len(EXCHANGE_OF_TOPIC)

# Two batches at once would leave live prices of the same application no core.
_turn = threading.Lock()


def lake_root(settings: Settings) -> str:
    return f"s3a://{settings.s3_bucket}"


def lake_records(
    spark: SparkSession, settings: Settings, progress: Offsets, tasks: int = TASKS
) -> DataFrame:
    """The raw topics after `progress`, in batches of LAKE_BATCH_SECONDS or of MESSAGES_PER_BATCH.

    So many tasks read a batch, and write it: a shuffle between would cost more than it is good for.
    """
    records = kafka_records(
        spark,
        settings,
        EXCHANGE_OF_TOPIC,
        progress,
        MESSAGES_PER_BATCH,
        settings.lake_batch_seconds,
    )
    return records.coalesce(tasks)


def lake_query(rows: DataFrame, sink: Sink, checkpoint: str) -> DataStreamWriter:
    """Looks every second whether a batch is full, or its time over; not started yet.

    Of all such queries of the application one writes at a time.
    """

    def write(batch: DataFrame, batch_id: int) -> None:
        with _turn:
            sink.write(batch, batch_id)

    return (
        rows.writeStream.queryName(sink.query)
        .trigger(processingTime="1 second")
        .option("checkpointLocation", checkpoint)
        .foreachBatch(write)
    )
