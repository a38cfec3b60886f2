"""What the queries into the lake have in common: where they read, how often, and where they write."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.sink import Sink
from spark_jobs.sources import Offsets, kafka_records

# Half a million tickers or more: a backlog goes in batches that two cores and 1 GB can bear.
MESSAGES_PER_BATCH = 2000


def lake_root(settings: Settings) -> str:
    return f"s3a://{settings.s3_bucket}"


def lake_records(
    spark: SparkSession, settings: Settings, progress: Offsets, readers: int | None = None
) -> DataFrame:
    """The raw topics after `progress`, in batches of LAKE_BATCH_SECONDS or of MESSAGES_PER_BATCH.

    Read by so many tasks at once, or by one for each partition.
    """
    records = kafka_records(
        spark,
        settings.kafka_bootstrap_servers,
        EXCHANGE_OF_TOPIC,
        progress,
        MESSAGES_PER_BATCH,
        settings.lake_batch_seconds,
    )
    return records.coalesce(readers) if readers else records


def lake_query(rows: DataFrame, sink: Sink, checkpoint: str) -> DataStreamWriter:
    """Looks every second whether a batch is full, or its time over; not started yet."""
    return (
        rows.writeStream.queryName(sink.query)
        .trigger(processingTime="1 second")
        .option("checkpointLocation", checkpoint)
        .foreachBatch(sink.write)
    )
