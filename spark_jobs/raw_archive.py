"""Write every record of the raw topics from Kafka to S3, as parquet.

    spark-submit spark_jobs/raw_archive.py

One batch a minute, or more often while a backlog is read. Effectively once: see lake/raw/archive.py.
Records that expired in Kafka while the job was stopped are logged and skipped.
"""

from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.partitions import partitions_of_topics, skip_expired
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import TASKS, lake_query, lake_records, lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.run.runner import fresh_checkpoint, lock_job, run_job
from spark_jobs.run.sink import Sink


def start(spark: SparkSession, settings: Settings, tasks: int = TASKS) -> list[Sink]:
    """Start the query after the newest offsets in the object names of `raw/`. Return its sink.

    For `tasks` see lake_records.
    """
    lock_job(settings.checkpoint_dir, Archive.query)
    partitions = partitions_of_topics(settings, EXCHANGE_OF_TOPIC)
    archive = Archive(spark, lake_root(settings))
    progress = archive.resume(partitions, topic_ids(settings, EXCHANGE_OF_TOPIC))
    records = lake_records(spark, settings, skip_expired(settings, progress), tasks)
    lake_query(records, archive, fresh_checkpoint(settings.checkpoint_dir, archive.query)).start()
    return [archive]


if __name__ == "__main__":
    run_job("raw_archive", [("lake", start)], lambda settings: settings.raw_archive_metrics_port)
