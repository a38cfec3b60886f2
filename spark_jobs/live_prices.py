"""Kafka to Postgres: the newest price of every ticker.

    spark-submit spark_jobs/live_prices.py

Reads both raw topics as fast as batches follow each other. Effectively once: see postgres_sink.
"""

import sys
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import SettingError, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.items import explode_items
from spark_jobs.normalise import normalise
from spark_jobs.postgres_sink import PostgresSink, SecondLiveJobError
from spark_jobs.running import fresh_checkpoint, log_to_stderr, run_until_asked_to_end
from spark_jobs.session import spark_session
from spark_jobs.sources import OffsetError, kafka_records, messages_at


def live_prices(records: DataFrame, sink: PostgresSink, checkpoint: str) -> DataStreamWriter:
    """The query, not started yet."""
    # On the stream and not in each batch: to build this plan takes Python longer than Spark to run it.
    tickers = records.transform(explode_items).transform(normalise)
    return (
        tickers.writeStream.queryName("live_prices")
        .option("checkpointLocation", checkpoint)
        .foreachBatch(sink.write)
    )


def main() -> None:
    settings = Settings.from_environment()
    spark = spark_session("live_prices")
    servers = settings.kafka_bootstrap_servers
    sink = PostgresSink(settings.database_url, partial(messages_at, servers))
    records = kafka_records(spark, servers, EXCHANGE_OF_TOPIC, sink.progress())
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, "live_prices")
    run_until_asked_to_end(live_prices(records, sink, checkpoint).start(), sink.stop)
    sink.close()
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    try:
        main()
    except (SettingError, SecondLiveJobError, OffsetError) as error:
        sys.exit(f"live_prices: {error}")
