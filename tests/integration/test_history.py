"""Read records from Kafka or, where they have expired, from `raw/`: each once, and each gap is named."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.history.history import History, HistoryError, all_history, history_of
from spark_jobs.history.steps import in_steps
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.time_span import TimeSpan
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import all_ends, delete_records, expire_all, produce
from tests.support.lake_queries import (
    copy,
    delete,
    in_another_hour,
    keys,
    run_raw_archive,
    wait_for_time_in_the_hour,
)
from tests.support.waiting import pass_time

FIRST, SECOND = (BINANCE.raw_topic, 0), (KUCOIN.raw_topic, 3)
ALL_DAY = TimeSpan(datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


class Produced:
    """The records that a test has sent since `begins`, and their archive."""

    def __init__(self, spark: SparkSession, lake: Settings, folder: Path) -> None:
        self._spark = spark
        self._lake = lake
        self._folder = folder
        self._archives = 0
        self.begins = all_ends(lake)
        self.values: list[tuple[str, int, int, bytes]] = []

    def send(self, count: int) -> None:
        """Send `count` messages to one partition of each topic."""
        for topic, partition, frame in (*FIRST, BTCUSDT), (*SECOND, CRO_USDT):
            for _ in range(count):
                produce(self._lake, topic, [item(frame, len(self.values))], partition=partition)
        self._remember()

    def _remember(self) -> None:
        known = {row[:3] for row in self.values}
        self.values += [row for row in rows_of(self.kafka()) if row[:3] not in known]

    def kafka(self) -> DataFrame:
        history = History(self._spark, self._lake)
        return history.records(history.unbroken(self.begins, self.ends), self.ends)

    def archive(self) -> None:
        self._archives += 1
        folder = self._folder / str(self._archives)
        run_raw_archive(self._spark, self._lake, folder, self.begins)

    @property
    def ends(self) -> Offsets:
        return all_ends(self._lake)


@pytest.fixture
def produced(spark: SparkSession, lake: Settings, tmp_path: Path) -> Produced:
    expire_all(lake)
    return Produced(spark, lake, tmp_path)


def rows_of(records: DataFrame) -> list[tuple[str, int, int, bytes]]:
    columns = records.select("topic", "partition", "offset", "value").collect()
    return sorted((row[0], row[1], row[2], bytes(row[3])) for row in columns)


def everything(history: History, produced: Produced) -> list[tuple[str, int, int, bytes]]:
    begins = history.unbroken(produced.begins, produced.ends)
    return rows_of(history.records(begins, produced.ends))


def test_each_record_comes_once_out_of_kafka_or_raw_with_all_its_parts(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    produced.send(3)
    whole = {
        (row["topic"], row["partition"], row["offset"]): row.asDict()
        for row in produced.kafka().collect()
    }
    produced.archive()
    produced.send(2)
    produced.archive()
    produced.send(1)
    delete_records(lake, {place: produced.begins[place] + 2 for place in (FIRST, SECOND)})
    history = all_history(spark, lake)
    assert everything(history, produced) == sorted(produced.values)
    assert len(produced.values) == 12
    assert history.unbroken({}, produced.ends) == produced.begins
    assert history.gaps({}, produced.ends) == []

    first = produced.begins[FIRST]
    [row] = history.records({FIRST: first}, {FIRST: first + 1}).collect()
    assert row.asDict() == whole[*FIRST, first] | {"timestampType": None}
    middle = history.records({FIRST: first + 1}, {FIRST: first + 4})
    assert [row[2] for row in rows_of(middle)] == [first + 1, first + 2, first + 3]


def test_no_task_is_without_records_if_raw_has_all_of_them(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    produced.send(3)
    produced.archive()
    expire_all(lake)
    records = all_history(spark, lake).records(produced.begins, produced.ends)
    busy = records.select(F.spark_partition_id()).distinct().count()
    assert busy == records.rdd.getNumPartitions() == spark.sparkContext.defaultParallelism


def test_raw_is_read_by_as_many_tasks_as_there_are_cores_however_many_objects_it_has(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    """Each task has some 100 MB of messages in memory."""
    for _ in range(3):
        produced.send(1)
        produced.archive()
    raw = all_history(spark, lake).raw
    assert len(raw.objects) > spark.sparkContext.defaultParallelism
    copies = raw.with_duplicates(produced.begins, produced.ends)
    assert copies is not None
    assert copies.rdd.getNumPartitions() == spark.sparkContext.defaultParallelism


def test_kafka_may_delete_while_the_history_is_read(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    produced.send(3)
    produced.archive()
    history = all_history(spark, lake)
    begins = history.unbroken(produced.begins, produced.ends)
    found = []
    for step in in_steps(begins, produced.ends, 2):
        found += rows_of(history.all_records(*step))
        expire_all(lake)
    assert sorted(found) == sorted(produced.values)


def test_records_that_kafka_deletes_before_they_are_archived_are_named(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    produced.send(2)
    history = all_history(spark, lake)
    begins, ends = history.unbroken(produced.begins, produced.ends), produced.ends
    assert rows_of(history.all_records(begins, ends)) == sorted(produced.values)
    delete_records(lake, {FIRST: begins[FIRST] + 1})
    first = begins[FIRST]
    with pytest.raises(
        HistoryError, match=f"{FIRST[0]}/0: Kafka has deleted offsets {first} to {first} "
    ):
        history.all_records(begins, ends)


def test_an_object_that_is_there_twice_repeats_no_record(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    wait_for_time_in_the_hour()
    produced.send(2)
    produced.archive()
    for key in keys(lake, "raw/"):
        copy(lake, key, in_another_hour(key))
    expire_all(lake)
    history = all_history(spark, lake)
    assert len(history.raw.objects) == 4
    assert everything(history, produced) == sorted(produced.values)
    again = history.raw.with_duplicates(produced.begins, produced.ends)
    assert again is not None
    assert again.count() == 2 * len(produced.values)


def test_a_gap_is_named_and_only_what_follows_it_is_read(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    wait_for_time_in_the_hour()
    for _ in range(3):
        produced.send(2)
        produced.archive()
    expire_all(lake)
    second = [key for key in keys(lake, "raw/") if BINANCE.raw_topic in key][1]
    delete(lake, second)
    history = all_history(spark, lake)
    begin = produced.begins[FIRST]
    [hole] = history.gaps({}, produced.ends)
    assert hole[:4] == (*FIRST, begin + 2, begin + 4)
    assert history.unbroken({}, produced.ends)[FIRST] == begin + 4
    assert history.unbroken({}, produced.ends)[SECOND] == produced.begins[SECOND]
    found = everything(history, produced)
    assert found == sorted(
        row for row in produced.values if row[:2] != FIRST or row[2] >= begin + 4
    )
    with pytest.raises(HistoryError, match=f"raw/ has 4 of the 6 records of {FIRST[0]}/0"):
        history.refuse_incomplete(produced.begins, produced.ends)


def test_what_was_never_archived_begins_with_kafkas_oldest_record(
    spark: SparkSession, lake: Settings, produced: Produced
) -> None:
    produced.send(2)
    history = all_history(spark, lake)
    assert history.unbroken({}, produced.ends) == produced.begins
    assert everything(history, produced) == sorted(produced.values)
    history.refuse_incomplete(produced.begins, produced.ends)


@pytest.mark.parametrize("expired", [0, 1, 3, 4, 6])
def test_a_span_of_time_is_found_in_kafka_or_raw(
    spark: SparkSession, lake: Settings, produced: Produced, expired: int
) -> None:
    moments = []
    for _ in range(3):
        moments.append(datetime.fromtimestamp(time.time(), UTC))
        pass_time(0.05)
        produced.send(2)
        pass_time(0.05)
    produced.archive()
    delete_records(lake, {place: produced.begins[place] + expired for place in (FIRST, SECOND)})
    span = TimeSpan(moments[1], moments[2])
    history = history_of(spark, lake, span)
    begins, ends = history.offsets_between(span)
    assert offsets_of(produced, begins) == (2, 2)
    assert offsets_of(produced, ends) == (4, 4)
    assert len(rows_of(history.records(begins, ends))) == 4
    begins, ends = history.offsets_between(ALL_DAY)
    assert offsets_of(produced, begins) == (0, 0)
    assert offsets_of(produced, ends) == (6, 6)
    late = TimeSpan(moments[2] + timedelta(hours=1), moments[2] + timedelta(hours=2))
    begins, ends = history.offsets_between(late)
    assert offsets_of(produced, begins) == offsets_of(produced, ends) == (6, 6)


def offsets_of(produced: Produced, offsets: Offsets) -> tuple[Any, ...]:
    return tuple(offsets[place] - produced.begins[place] for place in (FIRST, SECOND))


def test_every_partition_of_kafka_has_a_begin(spark: SparkSession, lake: Settings) -> None:
    partitions = {(topic, number) for topic in EXCHANGE_OF_TOPIC for number in range(4)}
    assert all_history(spark, lake).unbroken({}, {}).keys() == partitions
