"""Run the live job and the lake's queries over what is in Kafka now, accept recreated topics, and edit
objects of the lake.
"""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from infra.services import object_store
from spark_jobs.kafka_source.checkpoint_offsets import checkpoint_offsets
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import partitions_of_topics
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import lake_query, lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.live_prices import live_prices
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.run.runner import fresh_checkpoint
from tests.support.queries import price_sink, run_once
from tests.support.recordings import landing_object
from tests.support.waiting import DEADLINE, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectTypeDef

HOUR = 3600.0
TIME_IN_THE_HOUR = 120.0
"""Seconds in which a test sends all its messages, on a busy machine."""


def run_all_jobs(spark: SparkSession, lake: Settings, folder: Path) -> None:
    """Run the live job and those of the lake until they have read what is in Kafka."""
    run_live(spark, lake, folder)
    run_raw_archive(spark, lake, folder)
    run_price_history(spark, lake, folder)


def run_live(spark: SparkSession, settings: Settings, folder: Path) -> None:
    """Run the live job once, as at a start: with the ids of the topics and the retention in `settings`.

    Raise TopicError if a topic was created again; `run_live_prices` of queries.py would read on.
    """
    with closing(PriceSink(settings.database_url, settings.candles_retention)) as sink:
        progress = sink.postgres.resume(topic_ids(settings, sink.topics))
        records = kafka_records(spark, settings, sink.topics, progress)
        run_once(live_prices(records, sink, fresh_checkpoint(str(folder), sink.query)))


def run_raw_archive(
    spark: SparkSession, lake: Settings, folder: Path, start: Offsets | None = None
) -> None:
    """Archive new records, one object per topic and hour.

    Partitions that are not archived begin at `start`.
    """
    archive = Archive(spark, lake_root(lake))
    partitions = partitions_of_topics(lake, EXCHANGE_OF_TOPIC)
    progress = {**(start or {}), **archive.resume(partitions, topic_ids(lake, EXCHANGE_OF_TOPIC))}
    records = kafka_records(spark, lake, EXCHANGE_OF_TOPIC, progress).coalesce(1)
    run_once(lake_query(records, archive, fresh_checkpoint(str(folder), "raw_archive")))


def run_price_history(
    spark: SparkSession, lake: Settings, folder: Path, start: Offsets | None = None
) -> None:
    """Write the tickers of new records, one file per exchange and day.

    Partitions of which no record is written begin at `start`.
    """
    checkpoint = fresh_checkpoint(str(folder), "price_history")
    end_of_batch = partial(checkpoint_offsets, checkpoint)
    table = TickerTable(spark, lake_root(lake), end_of_batch, lake.tickers_retention_days)
    progress = {**(start or {}), **table.resume(topic_ids(lake, EXCHANGE_OF_TOPIC))}
    records = kafka_records(spark, lake, EXCHANGE_OF_TOPIC, progress).coalesce(1)
    run_once(lake_query(records, table, checkpoint))


def accept_topics(spark: SparkSession, lake: Settings) -> list[list[str]]:
    """Accept raw topics that were created again, as accept_topics.py does, in the session of the tests.

    Return the accepted topics of the live job, `raw/` and `tickers/`.
    """
    ids = topic_ids(lake, EXCHANGE_OF_TOPIC)
    table = TickerTable(spark, lake_root(lake), dict, lake.tickers_retention_days)
    with price_sink(lake) as sink:
        live = sink.postgres.accept(ids)
    return [live, Archive(spark, lake_root(lake)).accept(ids), table.accept(ids)]


def put_into_landing(lake: Settings, exchange: str, items: Sequence[dict[str, Any]]) -> str:
    """Put an object with these items, named and written as by the extractor. Return its key."""
    lines = [json.dumps(each, separators=(",", ":")) for each in items]
    name, content = landing_object(exchange, 0, lines)
    key = f"landing/{name}"
    object_store.client(lake).put_object(Bucket=lake.s3_bucket, Key=key, Body=content)
    return key


def keys(lake: Settings, prefix: str) -> list[str]:
    """Return the keys of the parquet files below a prefix, oldest first."""
    found = sorted(objects(lake, prefix), key=lambda each: each["LastModified"])
    return [each["Key"] for each in found if each["Key"].endswith(".parquet")]


def objects(lake: Settings, prefix: str = "") -> "list[ObjectTypeDef]":
    """Return key, size and time of the last change of each object below a prefix."""
    pages = object_store.client(lake).get_paginator("list_objects_v2")
    return [
        each
        for page in pages.paginate(Bucket=lake.s3_bucket, Prefix=prefix)
        for each in page.get("Contents", [])
    ]


def delete(lake: Settings, key: str) -> None:
    object_store.client(lake).delete_object(Bucket=lake.s3_bucket, Key=key)


def copy(lake: Settings, key: str, other: str) -> None:
    object_store.client(lake).copy_object(
        Bucket=lake.s3_bucket, Key=other, CopySource={"Bucket": lake.s3_bucket, "Key": key}
    )


def wait_for_time_in_the_hour() -> None:
    """Wait until the hour lasts for another TIME_IN_THE_HOUR.

    raw/ has a folder per hour, so a batch that is sent before and after the turn of an hour has
    two objects per topic.
    """
    wait_for(
        lambda: HOUR - time.time() % HOUR,
        lambda left: left > TIME_IN_THE_HOUR,
        deadline=TIME_IN_THE_HOUR + DEADLINE,
    )


def in_another_hour(key: str) -> str:
    """Return the key that an object of raw/ would have in the folder of another hour of that day."""
    folder, _, name = key.rpartition("/")
    day, _, hour = folder.rpartition("hour=")
    return f"{day}hour={(int(hour) + 12) % 24}/{name}"
