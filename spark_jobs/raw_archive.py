"""Kafka to S3: every record of the raw topics as parquet.

    spark-submit spark_jobs/raw_archive.py

One batch a minute: see archive.
"""

import sys

from pyspark.sql import DataFrame
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import SettingError, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.archive import Archive
from spark_jobs.metrics import JobMetrics
from spark_jobs.running import fresh_checkpoint, log_to_stderr, run_until_asked_to_end
from spark_jobs.session import JarError, spark_session
from spark_jobs.sources import OffsetError, kafka_records


def raw_archive(records: DataFrame, archive: Archive, checkpoint: str) -> DataStreamWriter:
    """The query, not started yet."""
    return (
        records.writeStream.queryName("raw_archive")
        .trigger(processingTime="1 minute")
        .option("checkpointLocation", checkpoint)
        .foreachBatch(archive.write)
    )


def main() -> None:
    settings = Settings.from_environment()
    spark = spark_session("raw_archive")
    archive = Archive(spark, f"s3a://{settings.s3_bucket}")
    records = kafka_records(
        spark, settings.kafka_bootstrap_servers, EXCHANGE_OF_TOPIC, archive.progress()
    )
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, "raw_archive")
    raw_archive(records, archive, checkpoint).start()
    metrics = JobMetrics()
    metrics.serve(settings.metrics_host, settings.raw_archive_metrics_port)
    run_until_asked_to_end(spark, [archive], metrics)
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    try:
        main()
    except (SettingError, JarError, OffsetError) as error:
        sys.exit(f"raw_archive: {error}")
