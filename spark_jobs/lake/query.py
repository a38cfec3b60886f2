"""Build the streaming queries that write the raw topics to the lake.

Of all such queries of an application, one writes at a time.
"""

import threading

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.run.sink import Sink

# Half a million tickers or more. Limits the batches of a backlog to what two cores and 1 GB can process.
MESSAGES_PER_BATCH = 2000

# Each task writes separate files: more tasks would write more and smaller ones.
TASKS = len(EXCHANGE_OF_TOPIC)

# One batch at a time: two would leave no core for the live prices of the same application.
_turn = threading.Lock()


def lake_root(settings: Settings) -> str:
    return f"s3a://{settings.s3_bucket}"


def lake_records(
    spark: SparkSession, settings: Settings, progress: Offsets, tasks: int = TASKS
) -> DataFrame:
    """Return a stream of the raw topics from `progress` on.

    A batch ends after LAKE_BATCH_SECONDS or MESSAGES_PER_BATCH. `tasks` tasks read and write it; a
    shuffle in between would cost more than it gains.
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
    """Return a query, not started yet, that checks every second whether a batch is due.

    Of all such queries of the application, one writes at a time.
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
