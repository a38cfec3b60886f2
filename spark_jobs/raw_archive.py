"""Kafka to S3: every record of the raw topics as parquet.

    spark-submit spark_jobs/raw_archive.py

One batch a minute, or more at once where much has piled up: see archive.
"""

import sys

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import SettingError, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.archive import Archive
from spark_jobs.lake import lake_query, lake_records, lake_root
from spark_jobs.metrics import JobMetrics
from spark_jobs.running import fresh_checkpoint, log_to_stderr, run_until_asked_to_end
from spark_jobs.session import JarError, spark_session
from spark_jobs.sink import Sink
from spark_jobs.sources import OffsetError, partitions_of_topics


def raw_archive(records: DataFrame, archive: Archive, checkpoint: str) -> DataStreamWriter:
    """The query, not started yet."""
    return lake_query("raw_archive", records, archive, checkpoint)


def start(spark: SparkSession, settings: Settings) -> list[Sink]:
    """Starts the query where the archive's names say; its sink."""
    servers = settings.kafka_bootstrap_servers
    archive = Archive(spark, lake_root(settings))
    progress = archive.resume(partitions_of_topics(servers, EXCHANGE_OF_TOPIC))
    records = lake_records(spark, settings, progress)
    raw_archive(records, archive, fresh_checkpoint(settings.checkpoint_dir, "raw_archive")).start()
    return [archive]


def main() -> None:
    settings = Settings.from_environment()
    spark = spark_session("raw_archive")
    metrics = JobMetrics()
    metrics.serve(settings.metrics_host, settings.raw_archive_metrics_port)
    run_until_asked_to_end(spark, start(spark, settings), metrics)
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    try:
        main()
    except (SettingError, JarError, OffsetError) as error:
        sys.exit(f"raw_archive: {error}")
