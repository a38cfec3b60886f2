"""Objects of the archive are found by span of time, and by the topic that they belong to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.raw.objects import RawFolders, RawObject

TOPIC = "kucoin_raw_data"
OLD_ID, NEW_ID = "ckVJ5ZWORGWAxTTLoYGQ2A", "nS2gTqB6RJ-0wl0y0ReEow"


class Listed(HadoopFiles):
    """A file system that records which folders were listed."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        super().__init__(spark, folder)
        self.folders_of_files: list[str] = []

    def files(self, folder: str) -> list[str]:
        self.folders_of_files.append(folder.partition(f"topic={TOPIC}/")[2])
        return super().files(folder)


@pytest.fixture
def storage(spark: SparkSession, tmp_path: Path) -> Listed:
    return Listed(spark, tmp_path.as_uri())


def folders(storage: Listed, root: Path, *files: str) -> RawFolders:
    for name in files:
        path = root / f"topic={TOPIC}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return RawFolders(storage, root.as_uri(), TOPIC)


def names(objects: list[RawObject]) -> list[str]:
    return [each.path.rpartition("/")[2] for each in objects]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_only_the_folders_of_the_span_are_listed(storage: Listed, tmp_path: Path) -> None:
    found = folders(
        storage,
        tmp_path,
        "date=2026-11-21/hour=23/0.0-4.parquet",
        "date=2026-11-22/hour=08/0.5-9.parquet",
        "date=2026-11-22/hour=8/0.10-14_1.3-3.parquet",
        "date=2026-11-22/hour=10/0.15-19.parquet",
        "date=2026-11-22/hour=10/_SUCCESS",
        "date=2026-11-23/hour=0/0.20-24.parquet",
        "other/hour=0/0.90-99.parquet",
    )
    objects = [*found.objects(at(22, 8, 30), at(22, 10))]
    assert names(objects) == ["0.5-9.parquet", "0.10-14_1.3-3.parquet"]
    assert [(each.topic, each.hour) for each in objects] == [(TOPIC, at(22, 8))] * 2
    assert objects[1].ranges == {0: (10, 14), 1: (3, 3)}
    assert storage.folders_of_files == ["date=2026-11-22/hour=08", "date=2026-11-22/hour=8"]
    assert names([*found.objects(at(22, 10))]) == ["0.15-19.parquet", "0.20-24.parquet"]
    assert names([*found.objects(until=at(22, 0))]) == ["0.0-4.parquet"]
    assert len([*found.objects()]) == 5
    assert names(found.newest()) == ["0.20-24.parquet"]


def test_a_topic_without_a_folder_has_no_objects(storage: Listed, tmp_path: Path) -> None:
    found = folders(storage, tmp_path)
    assert [*found.objects()] == found.newest() == []


def test_objects_of_a_topic_that_was_deleted_are_not_of_the_one_that_kafka_has(
    storage: Listed, tmp_path: Path
) -> None:
    found = folders(
        storage,
        tmp_path,
        "date=2026-11-21/hour=1/0.0-4.parquet",
        f"date=2026-11-21/hour=2/0.5-9.{OLD_ID}.parquet",
    )
    early = [*found.objects(until=at(21, 2))]
    assert names(found.own(early, OLD_ID)) == ["0.0-4.parquet"]
    folders(storage, tmp_path, f"date=2026-11-21/hour=3/0.0-2.{NEW_ID}.parquet")
    assert names(found.own(early, NEW_ID)) == []
    assert names(found.own(found.objects(), NEW_ID)) == [f"0.0-2.{NEW_ID}.parquet"]
    assert names(found.own(early, None)) == ["0.0-4.parquet"]
