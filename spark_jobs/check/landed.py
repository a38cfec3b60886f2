"""Count the items in `landing/` by exchange and minute of received_at."""

from collections.abc import Iterator
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from spark_jobs.history.history import store_errors_converted
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.objects import HOUR

# The last field that an extractor writes: see core.message.
RECEIVED_AT = r'"received_at":(\d{1,18})\}$'


def landed(
    spark: SparkSession, settings: Settings, since: datetime, until: datetime
) -> DataFrame | None:
    """Return exchange, minute and items received from `since` to `until`; None if there are none.

    Folders are read whole, from the hour before that of `since` to the hour after that of `until`, so up to
    two hours more are included on each side. An object is in the folder of its first item's hour.
    """
    found: DataFrame | None = None
    with store_errors_converted(settings):
        storage = HadoopFiles(spark, lake_root(settings))
        for exchange in TOPIC_OF_EXCHANGE:
            top = f"{lake_root(settings)}/landing/{exchange}"
            if folders := [*hours_between(storage, top, since - HOUR, until + HOUR)]:
                lines = spark.read.text(folders, lineSep="\n")
                counted = lines.transform(_by_minute).withColumn("exchange", F.lit(exchange))
                found = counted if found is None else found.unionByName(counted)
    return found


def hours_between(
    storage: HadoopFiles, top: str, since: datetime, until: datetime
) -> Iterator[str]:
    """Yield the existing folders of hours in the span, in order. Only existing days in it are listed.

    So the span may be years long: a clock may have been wrong by years.

        …/landing/binance/2026/11/27/03
    """
    return _below(storage, top, "", *(f"{time:%Y/%m/%d/%H}" for time in (since, until)))


def _below(storage: HadoopFiles, top: str, folder: str, first: str, last: str) -> Iterator[str]:
    for name in storage.folders(f"{top}/{folder}"):
        path = f"{folder}{name}"
        if first[: len(path)] <= path <= last[: len(path)]:
            if len(path) == len(first):
                yield f"{top}/{path}"
            else:
                yield from _below(storage, top, f"{path}/", first, last)


def _by_minute(lines: DataFrame) -> DataFrame:
    written = F.nullif(F.regexp_extract("value", RECEIVED_AT, 1), F.lit(""))
    received_at = F.timestamp_micros(written.cast("bigint"))
    minutes = lines.select(F.date_trunc("minute", received_at).alias("minute"))
    return minutes.where("minute IS NOT NULL").groupBy("minute").agg(F.count("*").alias("items"))
