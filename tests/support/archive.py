"""Write batches to a raw archive in a folder, and read its contents."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyarrow.dataset import dataset
from pyspark.sql import DataFrame, Row, SparkSession

from exchanges.binance import BINANCE
from spark_jobs.lake.raw.archive import Archive
from tests.support.frames import record, records

PARTITIONS = [(BINANCE.raw_topic, 0), (BINANCE.raw_topic, 1)]
TOPIC_ID = "ckVJ5ZWORGWAxTTLoYGQ2A"
IDS = {BINANCE.raw_topic: TOPIC_ID}

EVENING = datetime(2026, 11, 22, 18, 59, 59, tzinfo=UTC)


def batch(spark: SparkSession, *positions: tuple[int, int], at: datetime = EVENING) -> DataFrame:
    """Return records with these (partition, offset) pairs in one task."""
    rows = (stamped(partition, offset, at) for partition, offset in positions)
    return records(spark, *rows).coalesce(1)


def stamped(partition: int, offset: int, at: datetime) -> Row:
    row: dict[str, Any] = record([], partition=partition, offset=offset).asDict()
    return Row(**row | {"timestamp": at})


def resumed(spark: SparkSession, root: Path, ids: dict[str, str] = IDS) -> Archive:
    """Return the archive as a new process would start it."""
    archive = Archive(spark, root.as_uri())
    archive.resume(PARTITIONS, ids)
    return archive


def names(root: Path) -> list[str]:
    """Return the objects' paths below the topic's folder."""
    return sorted(
        str(path.relative_to(root / "raw" / f"topic={BINANCE.raw_topic}"))
        for path in (root / "raw").rglob("*.parquet")
    )


def places(root: Path) -> list[tuple[int, int]]:
    """Return partition and offset of all records, read without Spark."""
    rows = dataset(root / "raw").to_table(columns=["partition", "offset"]).to_pylist()
    return sorted((row["partition"], row["offset"]) for row in rows)
