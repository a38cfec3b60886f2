"""Batches for the raw archive in a folder, and what lies in it."""

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


def batch(spark: SparkSession, *places: tuple[int, int], at: datetime = EVENING) -> DataFrame:
    """Records of these partitions and offsets, as one task reads them."""
    rows = (stamped(partition, offset, at) for partition, offset in places)
    return records(spark, *rows).coalesce(1)


def stamped(partition: int, offset: int, at: datetime) -> Row:
    row: dict[str, Any] = record([], partition=partition, offset=offset).asDict()
    return Row(**row | {"timestamp": at})


def resumed(spark: SparkSession, root: Path, ids: dict[str, str] = IDS) -> Archive:
    """The archive as a new process starts it."""
    archive = Archive(spark, root.as_uri())
    archive.resume(PARTITIONS, ids)
    return archive


def names(root: Path) -> list[str]:
    """The objects' paths below the topic's folder."""
    return sorted(
        str(path.relative_to(root / "raw" / f"topic={BINANCE.raw_topic}"))
        for path in (root / "raw").rglob("*.parquet")
    )


def places(root: Path) -> list[tuple[int, int]]:
    """Partitions and offsets of all records, as a reader who knows nothing of Spark finds them."""
    rows = dataset(root / "raw").to_table(columns=["partition", "offset"]).to_pylist()
    return sorted((row["partition"], row["offset"]) for row in rows)
