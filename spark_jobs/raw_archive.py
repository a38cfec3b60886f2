"""Kafka to S3: every record of the raw topics as parquet.

    spark-submit spark_jobs/raw_archive.py

One batch a minute, or more at once where much has piled up: see archive.
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.archive import Archive
from spark_jobs.lake import TASKS, lake_query, lake_records, lake_root
from spark_jobs.running import fresh_checkpoint, keep_others_out, run_job
from spark_jobs.sink import Sink
from spark_jobs.sources import partitions_of_topics
from spark_jobs.topic_ids import topic_ids


def raw_archive(records: DataFrame, archive: Archive, checkpoint: str) -> DataStreamWriter:
    """The query, not started yet."""
    return lake_query(records, archive, checkpoint)


def start(spark: SparkSession, settings: Settings, tasks: int = TASKS) -> list[Sink]:
    """Starts the query where the archive's names say; its sink. For `tasks` see lake_records."""
    keep_others_out(settings.checkpoint_dir, Archive.query)
    archive = Archive(spark, lake_root(settings))
    progress = archive.resume(
        partitions_of_topics(settings, EXCHANGE_OF_TOPIC), topic_ids(settings, EXCHANGE_OF_TOPIC)
    )
    records = lake_records(spark, settings, progress, tasks)
    raw_archive(records, archive, fresh_checkpoint(settings.checkpoint_dir, archive.query)).start()
    return [archive]


if __name__ == "__main__":
    run_job("raw_archive", [("lake", start)], lambda settings: settings.raw_archive_metrics_port)
