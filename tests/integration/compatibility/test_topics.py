"""Read the topics of earlier versions with the live job: it writes the same tables."""

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import small_topics
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from tests.compatibility.kept import TOPICS, Place, Version
from tests.compatibility.records import ALL_DAYS, produce, rows_by_messages
from tests.support.kafka import all_ends
from tests.support.postgres import start_at
from tests.support.queries import run_live_prices, run_once

TABLES = ("live_prices", "candles_1m", "dead_letters", "instruments", "feed_events")


def test_the_live_job_makes_the_same_tables_of_the_topics(
    spark: SparkSession,
    version: Version,
    kept: connection,
    database: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    old = version.records(TOPICS)
    start_at(owner, all_ends(database, TOPICS))
    moved = produce(database, old)

    run_live_prices(spark, database, tmp_path, ALL_DAYS)
    run_small_topics(spark, database, tmp_path)

    for table in TABLES:
        expected = rows_by_messages(kept, table)
        assert expected, table
        found = rows_by_messages(owner, table)
        columns = expected[0].keys()
        assert ordered({name: row[name] for name in columns} for row in found) == ordered(
            moved_row(row, moved) for row in expected
        )


def run_small_topics(spark: SparkSession, database: Settings, folder: Path) -> None:
    with closing(SmallTopicsSink(database.database_url)) as sink:
        few = kafka_records(spark, database, sink.topics, sink.postgres.progress())
        run_once(small_topics(few, sink, str(folder / "small_topics")))


def moved_row(row: dict[str, Any], moved: dict[Place, Place]) -> dict[str, Any]:
    """Return the row with the new offset of its message."""
    if "offset" not in row:
        return row
    return row | {"offset": moved[row["topic"], row["partition"], row["offset"]][2]}


def ordered(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))
