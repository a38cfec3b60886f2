"""Read Kafka records into DataFrames: a stream from the sink's offsets on, or a range of offsets."""

import json
from collections.abc import Iterable

from pyspark.sql import DataFrame, SparkSession

from core.kafka_client import spark_options
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.broker_clock import require_broker_timestamps
from spark_jobs.kafka_source.offsets import Offsets, by_topic
from spark_jobs.kafka_source.partitions import starting_offsets
from spark_jobs.kafka_source.schemas import RECORD

RAW_MESSAGES_PER_BATCH = 2000
"""A message holds hundreds of tickers. With this limit, two cores catch up after an outage in batches of two
seconds, and the driver's memory is bounded. With half of it they would be a sixth slower, because batches
have fixed costs."""

CONSUMER = {
    "includeHeaders": "true",
    # Messages in memory per partition and query, while the partition's consumer is open. A message is 0.1 to
    # 1 MB; with Kafka's default (500), 8 partitions would take most of the driver's memory.
    "kafka.max.poll.records": "50",
    # After a consumer has received messages, it requests the following ones in advance. If there are none
    # yet, the broker holds that request for this long, and the consumer's later requests wait behind it:
    # once per partition and batch.
    "kafka.fetch.max.wait.ms": "1",
}
"""Options of streams and of ranges."""


def kafka_records(
    spark: SparkSession,
    settings: Settings,
    topics: Iterable[str],
    progress: Offsets,
    messages_per_batch: int = RAW_MESSAGES_PER_BATCH,
    seconds_to_fill: int = 0,
) -> DataFrame:
    """Return a stream of schemas.RECORD. A partition without progress begins at its oldest record.

    A batch waits up to `seconds_to_fill` seconds for `messages_per_batch`, and then takes what there is.
    Raise OffsetError as `starting_offsets` does, ClockError if a raw topic carries its producers'
    timestamps.
    """
    starting = starting_offsets(settings, topics, progress)
    require_broker_timestamps(settings, [topic for topic in topics if topic in EXCHANGE_OF_TOPIC])
    fill = {
        "minOffsetsPerTrigger": str(messages_per_batch),
        "maxTriggerDelay": f"{seconds_to_fill}s",
    }
    return (
        spark.readStream.format("kafka")
        .options(**spark_options(settings))
        .options(**CONSUMER)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", json.dumps(by_topic(starting)))
        .option("maxOffsetsPerTrigger", str(messages_per_batch))
        .options(**(fill if seconds_to_fill else {}))
        .load()
        .select(*RECORD.fieldNames())
    )


def kept_records(
    spark: SparkSession, settings: Settings, begins: Offsets, ends: Offsets
) -> DataFrame:
    """Return Kafka's records in [`begins`, `ends`), which have the same partitions.

    They are read by as many tasks as there are cores. The query fails if the first of them expire meanwhile.
    """
    topics = by_topic(begins)
    return (
        spark.read.format("kafka")
        .options(**spark_options(settings))
        .options(**CONSUMER)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", json.dumps(topics))
        .option("endingOffsets", json.dumps(by_topic(ends)))
        .load()
        .coalesce(spark.sparkContext.defaultParallelism)
        .select(*RECORD.fieldNames())
    )
