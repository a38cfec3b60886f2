"""Write the raw archive to a folder: repeated batches, crashes within a batch, a second job."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from exchanges.binance import BINANCE
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.raw.staged_records import STAGED_BY
from tests.support.archive import (
    EVENING,
    IDS,
    PARTITIONS,
    TOPIC_ID,
    batch,
    names,
    places,
    resumed,
)

NEXT_HOUR = datetime(2026, 11, 22, 19, 0, 0, tzinfo=UTC)
MANY_PARTITIONS = [(partition, 10_000) for partition in range(16)]
"""One name with all of them would have more than 255 bytes."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def archive(spark: SparkSession, tmp_path: Path) -> Archive:
    return resumed(spark, tmp_path)


def test_a_batch_again_and_an_older_one_change_nothing(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0), (0, 1), (1, 7)), 0)
    archive.write(batch(spark, (0, 0), (0, 1), (1, 7)), 0)
    archive.write(batch(spark, (0, 1), (0, 2)), 1)
    archive.write(batch(spark, (0, 0)), 0)
    assert names(tmp_path) == [
        f"date=2026-11-22/hour=18/0.0-1_1.7-7.{TOPIC_ID}.parquet",
        f"date=2026-11-22/hour=18/0.2-2.{TOPIC_ID}.parquet",
    ]
    assert places(tmp_path) == [(0, 0), (0, 1), (0, 2), (1, 7)]
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_each_task_of_a_batch_makes_an_object_of_what_it_read(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    two_tasks = batch(spark, (0, 0), (0, 1), (1, 7)).repartitionByRange(2, "partition")
    archive.write(two_tasks, 0)
    assert names(tmp_path) == [
        f"date=2026-11-22/hour=18/0.0-1.{TOPIC_ID}.parquet",
        f"date=2026-11-22/hour=18/1.7-7.{TOPIC_ID}.parquet",
    ]
    assert archive.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 2, (BINANCE.raw_topic, 1): 8}


def test_the_records_of_many_partitions_are_in_several_objects_with_names_that_disks_accept(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, *MANY_PARTITIONS), 0)
    first, second = (
        "_".join(f"{partition}.10000-10000" for partition in eight)
        for eight in (range(8), range(8, 16))
    )
    assert names(tmp_path) == [
        f"date=2026-11-22/hour=18/{first}.{TOPIC_ID}.parquet",
        f"date=2026-11-22/hour=18/{second}.{TOPIC_ID}.parquet",
    ]
    assert places(tmp_path) == MANY_PARTITIONS
    ends = {(BINANCE.raw_topic, partition): offset + 1 for partition, offset in MANY_PARTITIONS}
    assert resumed(spark, tmp_path).progress() == ends


def test_a_staged_file_whose_name_is_too_long_is_thrown_away_and_its_records_are_read_again(
    spark: SparkSession, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as former:
        # Earlier versions wrote all partitions of a task to one file.
        former.setattr("spark_jobs.lake.raw.archive.STAGED_BY", STAGED_BY[:-1])
        archive.stage(batch(spark, *MANY_PARTITIONS))
    second = resumed(spark, tmp_path)
    assert second.progress() == {}
    assert not (tmp_path / "staging" / "raw_archive").exists()
    second.write(batch(spark, *MANY_PARTITIONS), 0)
    assert places(tmp_path) == MANY_PARTITIONS


def test_a_staged_file_whose_name_is_too_long_is_kept_if_raw_has_later_records_of_its_batch(
    spark: SparkSession, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_hour = batch(spark, (0, 10_001), at=NEXT_HOUR)
    with monkeypatch.context() as former:
        former.setattr("spark_jobs.lake.raw.archive.STAGED_BY", STAGED_BY[:-1])
        archive.stage(batch(spark, *MANY_PARTITIONS).union(next_hour).coalesce(1))
    topic = f"topic={BINANCE.raw_topic}/date=2026-11-22/hour=19"
    (file,) = (tmp_path / "staging" / "raw_archive" / topic).rglob("*.parquet")
    published = tmp_path / "raw" / topic / f"0.10001-10001.{TOPIC_ID}.parquet"
    published.parent.mkdir(parents=True)
    file.rename(published)
    # Reading from Kafka would resume after offset 10,001.
    with pytest.raises(Py4JJavaError, match="File name too long"):
        resumed(spark, tmp_path)
    assert (tmp_path / "staging" / "raw_archive" / "_SUCCESS").exists()


def test_hours_are_folders_without_a_leading_zero_and_those_with_one_count_too(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0), at=EVENING.replace(hour=8)), 0)
    assert names(tmp_path) == [f"date=2026-11-22/hour=8/0.0-0.{TOPIC_ID}.parquet"]
    day = tmp_path / "raw" / f"topic={BINANCE.raw_topic}" / "date=2026-11-22"
    (day / "hour=8").rename(day / "hour=08")
    assert archive.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 1}


def test_a_batch_of_which_one_hour_was_published_is_finished_at_the_next_start(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    # The broker's clock was set back: the lower offset is in the later hour.
    two_hours = batch(spark, (0, 0), at=NEXT_HOUR).union(batch(spark, (0, 1), at=EVENING))
    archive.stage(two_hours)
    topic = f"topic={BINANCE.raw_topic}"
    hour = Path("date=2026-11-22", "hour=18")
    (first,) = (tmp_path / "staging" / "raw_archive" / topic / hour).rglob("*.parquet")
    published = tmp_path / "raw" / topic / hour / f"0.1-1.{TOPIC_ID}.parquet"
    published.parent.mkdir(parents=True)
    first.rename(published)
    assert Archive(spark, tmp_path.as_uri()).resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 2}
    assert places(tmp_path) == [(0, 0), (0, 1)]
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_a_file_that_was_copied_but_not_deleted_is_there_once(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.stage(batch(spark, (0, 0), (1, 3)))
    (file,) = (tmp_path / "staging").rglob("*.parquet")
    hour = tmp_path / "raw" / f"topic={BINANCE.raw_topic}" / "date=2026-11-22" / "hour=18"
    hour.mkdir(parents=True)
    (hour / f"0.0-0_1.3-3.{TOPIC_ID}.parquet").write_bytes(file.read_bytes())
    resumed(spark, tmp_path)
    assert places(tmp_path) == [(0, 0), (1, 3)]


def test_a_batch_that_was_not_staged_whole_is_thrown_away(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.stage(batch(spark, (0, 0)))
    (tmp_path / "staging" / "raw_archive" / "_SUCCESS").unlink()
    assert Archive(spark, tmp_path.as_uri()).resume(PARTITIONS, IDS) == {}
    assert names(tmp_path) == []
    assert not (tmp_path / "staging" / "raw_archive").exists()


def test_a_partition_that_has_been_quiet_for_days_is_found_in_an_older_day(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    for day in range(20, 25):
        at = datetime(2026, 11, day, tzinfo=UTC)
        places_of_day = [(0, day)] if day > 20 else [(0, day), (1, 5)]
        archive.write(batch(spark, *places_of_day, at=at), day)
    progress = Archive(spark, tmp_path.as_uri()).resume(PARTITIONS, IDS)
    assert progress == {(BINANCE.raw_topic, 0): 25, (BINANCE.raw_topic, 1): 6}


@pytest.mark.parametrize("before_it", [HOUR, DAY], ids=["an_hour", "midnight"])
def test_nothing_is_written_twice_after_a_clock_went_back(
    spark: SparkSession, archive: Archive, tmp_path: Path, before_it: timedelta
) -> None:
    back = NEXT_HOUR - before_it
    archive.write(batch(spark, (0, 0), (1, 0), at=NEXT_HOUR), 0)
    archive.write(batch(spark, (0, 1), at=back), 1)
    archive.write(batch(spark, (0, 1), at=back), 1)
    second = Archive(spark, tmp_path.as_uri())
    assert second.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 2, (BINANCE.raw_topic, 1): 1}
    second.write(batch(spark, (0, 1), (0, 2), at=back), 0)
    assert places(tmp_path) == [(0, 0), (0, 1), (0, 2), (1, 0)]


def with_clock_set_back_by_days(spark: SparkSession, archive: Archive) -> datetime:
    """Write offsets 0 and 1 on two days, then 2 and 3 three days earlier; return that earlier time."""
    back = NEXT_HOUR - 3 * DAY
    archive.write(batch(spark, (0, 0), (1, 0), at=NEXT_HOUR - DAY), 0)
    archive.write(batch(spark, (0, 1), (1, 1), at=NEXT_HOUR), 1)
    archive.write(batch(spark, (0, 2), (0, 3), (1, 2), (1, 3), at=back), 2)
    return back


def test_nothing_is_written_twice_after_a_clock_went_back_by_days(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    back = with_clock_set_back_by_days(spark, archive)
    # A start lists only the newest days, so it reads Kafka's records again from offset 2.
    second = Archive(spark, tmp_path.as_uri())
    assert second.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 2, (BINANCE.raw_topic, 1): 2}
    second.write(batch(spark, (0, 2), (1, 2), at=back), 0)
    second.write(batch(spark, (0, 3), (0, 4), (1, 3), at=back), 1)
    second.write(batch(spark, (0, 5), (1, 4), at=back), 2)
    both = [(partition, offset) for partition in (0, 1) for offset in range(5)]
    assert places(tmp_path) == sorted([*both, (0, 5)])


def test_a_staged_batch_of_which_raw_has_some_records_is_thrown_away_and_read_again(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    back = with_clock_set_back_by_days(spark, archive)
    second = resumed(spark, tmp_path)
    second.stage(batch(spark, (0, 2), (0, 3), (0, 4), at=back))
    third = resumed(spark, tmp_path)
    assert not (tmp_path / "staging" / "raw_archive").exists()
    third.write(batch(spark, (0, 2), (0, 3), (0, 4), at=back), 0)
    assert places(tmp_path) == [
        *((0, offset) for offset in range(5)),
        *((1, offset) for offset in range(4)),
    ]


def test_a_bucket_that_was_set_back_under_a_running_job_ends_it_before_it_writes_beyond_the_gap(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0)), 0)
    archive.write(batch(spark, (0, 1)), 1)
    (lost,) = (tmp_path / "raw").rglob(f"0.1-1.{TOPIC_ID}.parquet")
    lost.unlink()
    with pytest.raises(OffsetError, match=r"hour=18 lacks 0\.1-1\..* which this job has written"):
        archive.write(batch(spark, (0, 2)), 2)
    assert places(tmp_path) == [(0, 0)]
    assert resumed(spark, tmp_path).progress() == {(BINANCE.raw_topic, 0): 1}


def test_a_second_archive_is_refused_before_it_publishes(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    archive.write(batch(spark, (0, 0)), 0)
    second = resumed(spark, tmp_path)
    archive.write(batch(spark, (0, 1)), 1)
    with pytest.raises(OffsetError, match="another raw_archive"):
        second.write(batch(spark, (0, 1), (0, 2)), 0)
    assert places(tmp_path) == [(0, 0), (0, 1)]


def test_a_second_archive_is_refused_in_an_hour_that_both_began(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    second = resumed(spark, tmp_path)
    archive.write(batch(spark, (0, 0)), 0)
    # The second archive lists this hour for the first time, finds the object and skips its record.
    second.write(batch(spark, (0, 0), (0, 1)), 0)
    with pytest.raises(OffsetError, match="another raw_archive"):
        archive.write(batch(spark, (0, 1)), 1)
    assert places(tmp_path) == [(0, 0), (0, 1)]
