"""All queries in one application, for a machine that has no memory for three.

    spark-submit spark_jobs/jobs.py

The same queries as those of live_prices, raw_archive and price_history by themselves. Live prices come
first: see infra/spark/fairscheduler.xml. When one query ends, all do.
"""

import sys
from collections.abc import Callable

from pyspark.sql import SparkSession

from core.settings import SettingError, Settings
from spark_jobs import live_prices, price_history, raw_archive
from spark_jobs.metrics import JobMetrics
from spark_jobs.postgres_sink import SecondLiveJobError
from spark_jobs.running import log_to_stderr, run_until_asked_to_end
from spark_jobs.session import JarError, spark_session
from spark_jobs.sink import Sink
from spark_jobs.sources import OffsetError
from spark_jobs.ticker_table import TableError

Start = Callable[[SparkSession, Settings], list[Sink]]

# Live first: its lock in Postgres refuses a second application before that one touches the lake.
STARTS: tuple[tuple[str, Start], ...] = (
    ("live", live_prices.start),
    ("lake", raw_archive.start),
    ("lake", price_history.start),
)


def main() -> None:
    settings = Settings.from_environment()
    spark = spark_session("jobs")
    metrics = JobMetrics()
    metrics.serve(settings.metrics_host, settings.live_prices_metrics_port)
    sinks = []
    for pool, start in STARTS:
        # What this thread starts, queries too, runs in the pool.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", pool)
        sinks += start(spark, settings)
    run_until_asked_to_end(spark, sinks, metrics)
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    try:
        main()
    except (SettingError, JarError, SecondLiveJobError, OffsetError, TableError) as error:
        sys.exit(f"jobs: {error}")
