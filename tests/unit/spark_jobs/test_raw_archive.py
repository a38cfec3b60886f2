"""Topics that raw_archive refuses before it reads anything."""

import pytest

from spark_jobs.errors import JobError
from spark_jobs.lake.raw.names import Name
from spark_jobs.raw_archive import PARTITIONS_OF_A_TASK, refuse_long_names

TOPIC_ID = "ckVJ5ZWORGWAxTTLoYGQ2A"


def partitions(count: int) -> list[tuple[str, int]]:
    return [("binance_raw_data", number) for number in range(count)]


def test_topic_with_more_partitions_than_an_objects_name_can_list_is_refused_by_name() -> None:
    refuse_long_names(partitions(80), tasks=2)
    with pytest.raises(JobError) as refused:
        refuse_long_names(partitions(81), tasks=2)
    assert str(refused.value).startswith(
        "topic binance_raw_data has 81 partitions, but raw_archive with 2 tasks takes up to 80: raise TASKS"
    )


def test_the_name_of_many_partitions_is_a_valid_key_of_s3() -> None:
    offsets = {number: (10**9 - 2, 10**9 - 1) for number in range(PARTITIONS_OF_A_TASK)}
    folder = "raw/topic=binance_raw_data/date=2026-11-22/hour=23/"
    assert len(folder + Name(offsets, TOPIC_ID).file) <= 1024
