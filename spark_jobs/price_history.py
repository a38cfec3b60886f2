"""Kafka to S3: every ticker of both exchanges, normalised, into a Delta table.

    spark-submit spark_jobs/price_history.py

One batch a minute, or more at once where much has piled up. Effectively once: see ticker_table. Items that
can't be read are left to live_prices, which keeps them as dead letters.
"""

from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from spark_jobs.batch_end import batch_end
from spark_jobs.lake import TASKS, lake_query, lake_records, lake_root
from spark_jobs.messages import messages, tickers
from spark_jobs.running import fresh_checkpoint, keep_others_out, run_job
from spark_jobs.sink import Sink
from spark_jobs.ticker_table import TickerTable


def price_history(records: DataFrame, table: TickerTable, checkpoint: str) -> DataStreamWriter:
    """The query, not started yet."""
    return lake_query(records.transform(messages).transform(tickers), table, checkpoint)


def start(spark: SparkSession, settings: Settings, tasks: int = TASKS) -> list[Sink]:
    """Starts the query where the table's newest commit says; its sink. For `tasks` see lake_records."""
    keep_others_out(settings.checkpoint_dir, TickerTable.query)
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, TickerTable.query)
    table = TickerTable(
        spark, lake_root(settings), partial(batch_end, checkpoint), settings.tickers_retention_days
    )
    records = lake_records(spark, settings, table.resume(), tasks)
    price_history(records, table, checkpoint).start()
    return [table]


if __name__ == "__main__":
    run_job(
        "price_history", [("lake", start)], lambda settings: settings.price_history_metrics_port
    )
