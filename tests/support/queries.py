"""Run the jobs' queries over what is in Kafka now, and write batches without Kafka."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from pyspark.sql import Row, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import live_prices
from spark_jobs.postgres.candle_days import RETENTION
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.run.runner import fresh_checkpoint
from tests.support.frames import reduced

DEADLINE = 240


def run_once(query: DataStreamWriter) -> None:
    """Run a query until it has read everything that is in Kafka now."""
    started = query.trigger(availableNow=True).start()
    assert started.awaitTermination(DEADLINE), started.lastProgress


def run_live_prices(
    spark: SparkSession, database: Settings, folder: Path, candles_kept: timedelta = RETENTION
) -> None:
    """Run the live job once. It resumes at the offsets in Postgres, with a new checkpoint.

    Unlike `run_live` of lake_queries.py, it neither compares nor stores the ids of the topics.
    """
    with closing(PriceSink(database.database_url, candles_kept)) as sink:
        records = kafka_records(spark, database, EXCHANGE_OF_TOPIC, sink.postgres.progress())
        run_once(live_prices(records, sink, fresh_checkpoint(str(folder), "live_prices")))


@contextmanager
def price_sink(database: Settings) -> Iterator[PriceSink]:
    """Yield the live job's sink."""
    with closing(PriceSink(database.database_url)) as sink:
        yield sink


def write(spark: SparkSession, sink: PriceSink, *batch: Row) -> None:
    """Write Kafka records as a batch of the live job."""
    sink.write(reduced(spark, *batch), 0)
