"""Start the query that writes topic `exchange_candles` to Postgres."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from spark_jobs.exchange_candles.messages import candles
from spark_jobs.exchange_candles.sink import ExchangeCandlesSink
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.run.runner import fresh_checkpoint
from spark_jobs.run.sink import Sink

MESSAGES_PER_BATCH = 100
"""A message has up to 1,500 candles, so a batch has up to 150,000 rows."""

TRIGGER = "5 seconds"
"""Prices go first: candles of the past may wait."""


def exchange_candles(
    records: DataFrame, sink: ExchangeCandlesSink, checkpoint: str
) -> DataStreamWriter:
    """Return the query, not started yet."""
    return (
        records.transform(candles)
        .writeStream.queryName(sink.query)
        .trigger(processingTime=TRIGGER)
        .option("checkpointLocation", checkpoint)
        .foreachBatch(sink.write)
    )


def start(spark: SparkSession, settings: Settings) -> list[Sink]:
    """Start the query at the offsets in Postgres. Return the connected sink."""
    sink = ExchangeCandlesSink(settings.database_url, settings.candles_retention)
    progress = sink.postgres.resume(topic_ids(settings, sink.topics))
    records = kafka_records(spark, settings, sink.topics, progress, MESSAGES_PER_BATCH)
    exchange_candles(records, sink, fresh_checkpoint(settings.checkpoint_dir, sink.query)).start()
    return [sink]
