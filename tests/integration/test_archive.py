"""The raw archive, written to a folder: batches again, ends in between, another job beside it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow.dataset import dataset
from pyspark.sql import DataFrame, Row, SparkSession

from core.topics import BINANCE_RAW_DATA
from spark_jobs.archive import Archive
from spark_jobs.sources import OffsetError
from tests.support.frames import record, records

PARTITIONS = [(BINANCE_RAW_DATA, 0), (BINANCE_RAW_DATA, 1)]
EVENING = datetime(2026, 11, 22, 18, 59, 59, tzinfo=UTC)
NEXT_HOUR = datetime(2026, 11, 22, 19, 0, 0, tzinfo=UTC)


def batch(spark: SparkSession, *places: tuple[int, int], at: datetime = EVENING) -> DataFrame:
    """As one task reads it."""
    rows = (stamped(partition, offset, at) for partition, offset in places)
    return records(spark, *rows).coalesce(1)


def stamped(partition: int, offset: int, at: datetime) -> Row:
    row: dict[str, Any] = record([], partition=partition, offset=offset).asDict()
    return Row(**row | {"timestamp": at})


@pytest.fixture
def archive(spark: SparkSession, tmp_path: Path) -> Archive:
    return resumed(spark, tmp_path)


def resumed(spark: SparkSession, root: Path) -> Archive:
    archive = Archive(spark, root.as_uri())
    archive.resume(PARTITIONS)
    return archive


def names(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root / "raw" / f"topic={BINANCE_RAW_DATA}"))
        for path in (root / "raw").rglob("*.parquet")
    )


def places(root: Path) -> list[tuple[int, int]]:
    """As a reader who knows nothing of Spark finds them."""
    rows = dataset(root / "raw").to_table(columns=["partition", "offset"]).to_pylist()
    return sorted((row["partition"], row["offset"]) for row in rows)


def test_a_batch_again_and_an_older_one_change_nothing(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0), (0, 1), (1, 7)), 0)
    archive.write(batch(spark, (0, 0), (0, 1), (1, 7)), 0)
    archive.write(batch(spark, (0, 1), (0, 2)), 1)
    archive.write(batch(spark, (0, 0)), 0)
    assert names(tmp_path) == [
        "date=2026-11-22/hour=18/0.0-1_1.7-7.parquet",
        "date=2026-11-22/hour=18/0.2-2.parquet",
    ]
    assert places(tmp_path) == [(0, 0), (0, 1), (0, 2), (1, 7)]
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_each_task_of_a_batch_makes_an_object_of_what_it_read(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    two_tasks = batch(spark, (0, 0), (0, 1), (1, 7)).repartitionByRange(2, "partition")
    archive.write(two_tasks, 0)
    assert names(tmp_path) == [
        "date=2026-11-22/hour=18/0.0-1.parquet",
        "date=2026-11-22/hour=18/1.7-7.parquet",
    ]
    assert archive.resume(PARTITIONS) == {(BINANCE_RAW_DATA, 0): 2, (BINANCE_RAW_DATA, 1): 8}


def test_a_batch_of_which_one_hour_was_published_is_finished_at_the_next_start(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    # The clock was set back: the older offset lies in the later hour.
    two_hours = batch(spark, (0, 0), at=NEXT_HOUR).union(batch(spark, (0, 1), at=EVENING))
    archive.stage(two_hours)
    staged = tmp_path / "staging" / "raw_archive" / f"topic={BINANCE_RAW_DATA}"
    (first,) = (staged / "date=2026-11-22" / "hour=18").glob("*.parquet")
    published = tmp_path / "raw" / staged.name / "date=2026-11-22" / "hour=18" / "0.1-1.parquet"
    published.parent.mkdir(parents=True)
    first.rename(published)
    assert Archive(spark, tmp_path.as_uri()).resume(PARTITIONS) == {(BINANCE_RAW_DATA, 0): 2}
    assert places(tmp_path) == [(0, 0), (0, 1)]
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_a_file_that_was_copied_but_not_deleted_is_there_once(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.stage(batch(spark, (0, 0), (1, 3)))
    staged = tmp_path / "staging" / "raw_archive"
    (file,) = staged.rglob("*.parquet")
    target = tmp_path / "raw" / file.parent.relative_to(staged) / "0.0-0_1.3-3.parquet"
    target.parent.mkdir(parents=True)
    target.write_bytes(file.read_bytes())
    resumed(spark, tmp_path)
    assert places(tmp_path) == [(0, 0), (1, 3)]


def test_a_batch_that_was_not_staged_whole_is_thrown_away(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.stage(batch(spark, (0, 0)))
    (tmp_path / "staging" / "raw_archive" / "_SUCCESS").unlink()
    assert Archive(spark, tmp_path.as_uri()).resume(PARTITIONS) == {}
    assert names(tmp_path) == []
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_a_partition_that_has_been_quiet_for_days_is_found_in_an_older_day(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    for day in range(20, 25):
        at = datetime(2026, 11, day, tzinfo=UTC)
        places_of_day = [(0, day)] if day > 20 else [(0, day), (1, 5)]
        archive.write(batch(spark, *places_of_day, at=at), day)
    progress = Archive(spark, tmp_path.as_uri()).resume(PARTITIONS)
    assert progress == {(BINANCE_RAW_DATA, 0): 25, (BINANCE_RAW_DATA, 1): 6}


def test_a_second_archive_is_refused_before_it_publishes(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0)), 0)
    second = resumed(spark, tmp_path)
    archive.write(batch(spark, (0, 1)), 1)
    with pytest.raises(OffsetError, match="another raw_archive"):
        second.write(batch(spark, (0, 1), (0, 2)), 0)
    assert places(tmp_path) == [(0, 0), (0, 1)]
