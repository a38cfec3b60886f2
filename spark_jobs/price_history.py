"""Write every ticker of both exchanges, normalised, from Kafka into a Delta table on S3.

    spark-submit spark_jobs/price_history.py

One batch a minute, or more often while a backlog is read. Effectively once: see lake/tickers/table.py.
Items that can't be read are only counted here; live_prices stores them as dead letters.
"""

from functools import partial

from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.checkpoint_offsets import checkpoint_offsets
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import TASKS, lake_query, lake_records, lake_root
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.run.runner import fresh_checkpoint, lock_job, run_job
from spark_jobs.run.sink import Sink


def start(spark: SparkSession, settings: Settings, tasks: int = TASKS) -> list[Sink]:
    """Start the query at the newest commit's offsets. Return its sink. For `tasks` see lake_records."""
    lock_job(settings.checkpoint_dir, TickerTable.query)
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, TickerTable.query)
    table = TickerTable(
        spark,
        lake_root(settings),
        partial(checkpoint_offsets, checkpoint),
        settings.tickers_retention_days,
    )
    progress = table.resume(topic_ids(settings, EXCHANGE_OF_TOPIC))
    records = lake_records(spark, settings, progress, tasks)
    lake_query(records, table, checkpoint).start()
    table.start_upkeep()
    return [table]


if __name__ == "__main__":
    run_job(
        "price_history", [("lake", start)], lambda settings: settings.price_history_metrics_port
    )
