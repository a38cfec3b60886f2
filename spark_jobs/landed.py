"""The items in `landing/`, counted by exchange and by the minute of received_at."""

from collections.abc import Iterator
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from spark_jobs.history import store_explained
from spark_jobs.lake import lake_root
from spark_jobs.raw_objects import HOUR
from spark_jobs.storage import Storage

# The extractor writes it last: see core.message.
RECEIVED_AT = r'"received_at":(\d{1,18})\}$'


def landed(
    spark: SparkSession, settings: Settings, since: datetime, until: datetime
) -> DataFrame | None:
    """Return exchange, minute and items of what was received from `since` to `until`, and a little around it.

    None where there is nothing. An object lies in the folder of its first item's hour.
    """
    found: DataFrame | None = None
    with store_explained(settings):
        storage = Storage(spark, lake_root(settings))
        for exchange in TOPIC_OF_EXCHANGE:
            top = f"{lake_root(settings)}/landing/{exchange}"
            folders = [folder for folder in _hours(top, since, until) if storage.exists(folder)]
            if folders:
                lines = spark.read.text(folders, lineSep="\n")
                counted = lines.transform(_by_minute).withColumn("exchange", F.lit(exchange))
                found = counted if found is None else found.unionByName(counted)
    return found


def _hours(top: str, since: datetime, until: datetime) -> Iterator[str]:
    hour = since.replace(minute=0, second=0, microsecond=0) - HOUR
    while hour <= until + HOUR:
        yield f"{top}/{hour:%Y/%m/%d/%H}"
        hour += HOUR


def _by_minute(lines: DataFrame) -> DataFrame:
    written = F.nullif(F.regexp_extract("value", RECEIVED_AT, 1), F.lit(""))
    received_at = F.timestamp_micros(written.cast("bigint"))
    minutes = lines.select(F.date_trunc("minute", received_at).alias("minute"))
    return minutes.where("minute IS NOT NULL").groupBy("minute").agg(F.count("*").alias("items"))
