"""Write the raw archive to a folder when a topic was deleted and created again."""

import re
import shutil
from pathlib import Path

import pytest
from pyarrow.dataset import dataset
from pyspark.sql import SparkSession

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.topic_ids import TopicError
from spark_jobs.lake.raw.archive import Archive
from tests.support.archive import IDS, PARTITIONS, TOPIC_ID, batch, names, places, resumed

# An id may contain both `-` and `_`, which the rest of a name uses too.
NEW_ID = "_-9nQpXoRkWmE1yT-u3_hg"
NEW_IDS = {BINANCE.raw_topic: NEW_ID}
WITHOUT_IDS: dict[str, str] = {}
HOUR = "date=2026-11-22/hour=18"


@pytest.fixture
def archive(spark: SparkSession, tmp_path: Path) -> Archive:
    """A new process of the archive, after the previous one has written an object of the former topic."""
    resumed(spark, tmp_path).write(batch(spark, (0, 0), (1, 0)), 0)
    return Archive(spark, tmp_path.as_uri())


def test_topic_that_was_created_again_is_refused(archive: Archive, tmp_path: Path) -> None:
    before = names(tmp_path)
    for _start in range(2):
        with pytest.raises(TopicError, match=rf"raw/.*{TOPIC_ID}.*{NEW_ID}.*make accept-topics"):
            archive.resume(PARTITIONS, NEW_IDS)
    assert names(tmp_path) == before


def test_accepted_topic_begins_anew_beside_the_former_ones_equal_offsets(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    assert archive.accept(NEW_IDS) == [BINANCE.raw_topic]
    assert archive.resume(PARTITIONS, NEW_IDS) == {}
    archive.write(batch(spark, (0, 0), (1, 0)), 0)
    archive.write(batch(spark, (0, 0), (0, 1), (1, 0)), 1)
    assert names(tmp_path)[:3] == [
        f"{HOUR}/0.0-0_1.0-0.{NEW_ID}.parquet",
        f"{HOUR}/0.0-0_1.0-0.{TOPIC_ID}.parquet",
        f"{HOUR}/0.1-1.{NEW_ID}.parquet",
    ]
    (begin,) = names(tmp_path)[3:]
    assert re.fullmatch(rf"date=\d{{4}}-\d\d-\d\d/hour=\d+/begin\.{NEW_ID}\.parquet", begin)
    assert places(tmp_path) == [(0, 0), (0, 0), (0, 1), (1, 0), (1, 0)]
    assert archive.resume(PARTITIONS, NEW_IDS) == {
        (BINANCE.raw_topic, 0): 2,
        (BINANCE.raw_topic, 1): 1,
    }


def test_object_that_marks_a_new_topic_has_the_columns_of_the_others_and_no_row(
    archive: Archive, tmp_path: Path
) -> None:
    archive.accept(NEW_IDS)
    (written,) = tmp_path.rglob(f"{HOUR}/*.parquet")
    (begin,) = tmp_path.rglob("begin.*.parquet")
    assert dataset(begin).schema == dataset(written).schema
    assert dataset(begin).count_rows() == 0


def test_topics_that_are_the_same_or_have_no_object_are_not_accepted(
    archive: Archive, tmp_path: Path
) -> None:
    before = names(tmp_path)
    assert archive.accept(IDS | {KUCOIN.raw_topic: NEW_ID}) == []
    assert names(tmp_path) == before
    assert archive.accept(NEW_IDS) == [BINANCE.raw_topic]
    assert archive.accept(NEW_IDS) == []


def test_objects_of_an_earlier_version_belong_to_the_topic_until_another_is_known(
    spark: SparkSession, tmp_path: Path
) -> None:
    resumed(spark, tmp_path, WITHOUT_IDS).write(batch(spark, (0, 0), (0, 1)), 0)
    archive = Archive(spark, tmp_path.as_uri())
    assert archive.accept(IDS) == []
    assert archive.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 2}
    archive.write(batch(spark, (0, 1), (0, 2)), 0)
    assert names(tmp_path) == [f"{HOUR}/0.0-1.parquet", f"{HOUR}/0.2-2.{TOPIC_ID}.parquet"]

    assert archive.accept(NEW_IDS) == [BINANCE.raw_topic]
    assert archive.resume(PARTITIONS, NEW_IDS) == {}
    archive.write(batch(spark, (0, 0)), 0)
    assert places(tmp_path) == [(0, 0), (0, 0), (0, 1), (0, 2)]


def test_without_ids_of_kafka_nothing_is_refused(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    assert archive.resume(PARTITIONS, WITHOUT_IDS) == {
        (BINANCE.raw_topic, 0): 1,
        (BINANCE.raw_topic, 1): 1,
    }
    archive.write(batch(spark, (0, 0), (0, 1)), 0)
    archive.write(batch(spark, (0, 1), (0, 2)), 1)
    assert names(tmp_path) == [
        f"{HOUR}/0.0-0_1.0-0.{TOPIC_ID}.parquet",
        f"{HOUR}/0.1-1.parquet",
        f"{HOUR}/0.2-2.parquet",
    ]


def test_batch_that_was_staged_before_the_topic_was_created_again_keeps_the_former_id(
    spark: SparkSession, archive: Archive, tmp_path: Path
) -> None:
    resumed(spark, tmp_path).stage(batch(spark, (0, 1)))
    with pytest.raises(TopicError):
        archive.resume(PARTITIONS, NEW_IDS)
    assert names(tmp_path) == [
        f"{HOUR}/0.0-0_1.0-0.{TOPIC_ID}.parquet",
        f"{HOUR}/0.1-1.{TOPIC_ID}.parquet",
    ]


def test_batch_that_an_earlier_version_staged_is_published(
    spark: SparkSession, tmp_path: Path
) -> None:
    resumed(spark, tmp_path, WITHOUT_IDS).stage(batch(spark, (0, 0)))
    (without_id,) = tmp_path.rglob("topic_id=*")
    (file,) = without_id.rglob("*.parquet")
    file.rename(without_id.parent / file.name)
    shutil.rmtree(without_id)
    archive = Archive(spark, tmp_path.as_uri())
    assert archive.resume(PARTITIONS, IDS) == {(BINANCE.raw_topic, 0): 1}
    assert names(tmp_path) == [f"{HOUR}/0.0-0.parquet"]
