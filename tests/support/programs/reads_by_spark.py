"""Read `raw/` and `tickers/` of a bucket in Spark without the jobs' settings; print rows as JSON lines.

    python -m tests.support.programs.reads_by_spark BUCKET

The settings only configure local mode without a UI, jars, the store, and Delta, with one task for its log.
"""

import json
import os
import sys

from delta import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from infra.paths import TOOLS
from tests.support.reader_rows import raw_rows, ticker_rows


def session() -> SparkSession:
    jars = sorted(str(path) for path in (TOOLS / "jars" / "spark").glob("*.jar"))
    return (
        SparkSession.builder.appName("reader")
        .config("spark.master", "local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", ",".join(jars))
        .config("spark.hadoop.fs.s3a.endpoint", os.environ["S3_ENDPOINT_URL"])
        .config("spark.hadoop.fs.s3a.endpoint.region", "us-east-1")
        .config("spark.hadoop.fs.s3a.path.style.access", "true")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config("spark.databricks.delta.snapshotPartitions", "1")
        .getOrCreate()
    )


def main(bucket: str) -> None:
    spark = session()
    raw = spark.read.parquet(f"s3a://{bucket}/raw")
    # collect() returns times in this process's time zone.
    raw = raw.withColumn("timestamp", F.unix_micros("timestamp"))
    print(
        json.dumps(["spark", "raw", raw_rows(row.asDict(recursive=True) for row in raw.collect())])
    )
    tickers = DeltaTable.forPath(spark, f"s3a://{bucket}/tickers").toDF()
    tickers = tickers.withColumn("received_at", F.unix_micros("received_at"))
    print(json.dumps(["spark", "tickers", ticker_rows(row.asDict() for row in tickers.collect())]))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
