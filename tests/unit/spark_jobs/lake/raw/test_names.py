"""The names of the archive's objects, which contain their offsets and the topic's id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.lake.raw.names import (
    LONGEST_NAME,
    Name,
    Ranges,
    former_id,
    next_offsets,
    own_ids,
    path_in_raw,
    staged_place,
)
from spark_jobs.lake.raw.staged_records import PARTITIONS_OF_A_FILE

ID, OTHER = "ckVJ5ZWORGWAxTTLoYGQ2A", "_-9nQpXoRkWmE1yT-u3_hg"


def test_name_says_the_offsets_by_partition_in_order_and_the_topics_id() -> None:
    assert Name({1: (98, 140), 0: (120, 179)}, ID).file == f"0.120-179_1.98-140.{ID}.parquet"
    assert Name({10: (0, 0), 9: (5, 5)}, OTHER).file == f"9.5-5_10.0-0.{OTHER}.parquet"
    assert Name({0: (1, 2)}, None).file == "0.1-2.parquet"
    assert Name({}, ID).file == f"begin.{ID}.parquet"


def test_offsets_and_id_are_read_back_from_the_name() -> None:
    assert Name.read(f"0.120-179_1.98-140.{OTHER}.parquet") == (
        {0: (120, 179), 1: (98, 140)},
        OTHER,
    )
    assert Name.read("0.120-179_1.98-140.parquet") == ({0: (120, 179), 1: (98, 140)}, None)
    assert Name.read(f"begin.{ID}.parquet") == ({}, ID)


def test_the_name_of_a_file_with_all_its_partitions_is_accepted_by_disks() -> None:
    partitions = range(992, 992 + PARTITIONS_OF_A_FILE)
    assert len(Name(dict.fromkeys(partitions, (10**11 - 2, 10**11 - 1)), ID).file) <= LONGEST_NAME


OFFSETS = st.integers(0, 2**63 - 1)
RANGES = st.dictionaries(st.integers(0, 2**31 - 1), st.tuples(OFFSETS, OFFSETS), max_size=8)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
IDS = st.none() | st.text(ALPHABET, min_size=22, max_size=22)


@given(RANGES, IDS)
def test_every_name_is_read_back_and_no_reader_takes_it_for_hidden(
    ranges: Ranges, topic_id: str | None
) -> None:
    file = Name(ranges, topic_id).file
    assert Name.read(file) == (ranges, topic_id)
    assert not file.startswith(("_", "."))


@pytest.mark.parametrize(
    "name",
    [
        "_SUCCESS",
        ".part-0.parquet.crc",
        "part-00000-3b0a4a5c-7d1e-4f43-9d0e-52f7a1f0c1a2.c000.zstd.parquet",
        f"{ID}.parquet",
        f"0.1-2.{ID}x.parquet",
        f"0.1-2.{ID}.{ID}.parquet",
        "",
    ],
)
def test_name_of_another_kind_says_nothing(name: str) -> None:
    assert Name.read(name) is None


@pytest.mark.parametrize(
    ("ranges", "is_repeated"),
    [
        ({0: (10, 19)}, True),
        ({0: (19, 19)}, True),
        ({0: (5, 10), 1: (0, 1)}, True),
        ({0: (12, 13)}, True),
        ({0: (0, 30)}, True),
        ({0: (20, 30)}, False),
        ({0: (0, 9)}, False),
        ({1: (10, 19)}, False),
        ({}, False),
    ],
)
def test_names_repeat_each_other_where_they_have_an_offset_in_common(
    ranges: Ranges, is_repeated: bool
) -> None:
    name, other = Name({0: (10, 19), 2: (0, 0)}, ID), Name(ranges, ID)
    assert name.repeats(other) is other.repeats(name) is is_repeated
    assert not name.repeats(Name(ranges, OTHER))


@pytest.mark.parametrize(
    "root",
    [
        "s3a://cryptopricesrt/staging/raw_archive",
        "file:/tmp/staging/raw_archive",
        "file:///tmp/staging/raw_archive",
        "/tmp/topic=other/staging/raw_archive",
    ],
)
def test_place_of_a_file_is_the_same_however_its_root_is_written(root: str) -> None:
    path = f"{root}/topic=kucoin_raw_data/date=2026-11-22/hour=18/part-0.parquet"
    assert path_in_raw(path) == "kucoin_raw_data/date=2026-11-22/hour=18/part-0.parquet"


@pytest.mark.parametrize(
    ("below", "topic_id"),
    [
        (f"topic_id={OTHER}/partitions=1/part-0.parquet", OTHER),
        # An earlier version, with all partitions of the topic.
        (f"topic_id={OTHER}/part-0.parquet", OTHER),
        ("topic_id=__HIVE_DEFAULT_PARTITION__/part-0.parquet", None),
        # Version 0.1.0.
        ("part-00000-3b0a4a5c-7d1e-4f43-9d0e-52f7a1f0c1a2.c000.zstd.parquet", None),
    ],
)
def test_place_of_a_staged_file_says_its_folder_and_its_topics_id(
    below: str, topic_id: str | None
) -> None:
    hour = "kucoin_raw_data/date=2026-11-22/hour=8"
    path = f"s3a://cryptopricesrt/staging/raw_archive/topic={hour}/{below}"
    assert staged_place(path) == (hour, topic_id)


@pytest.mark.parametrize(
    ("found", "current", "own", "former"),
    [
        ([], ID, {ID, None}, None),
        ([None], ID, {ID, None}, None),
        ([None, ID], ID, {ID, None}, None),
        ([None, OTHER, ID], ID, {ID}, None),
        ([None, OTHER], ID, {ID}, OTHER),
        ([OTHER, None], None, {OTHER, None}, None),
        ([], None, {None}, None),
    ],
)
def test_names_of_the_present_topic_are_distinguished_from_those_of_former_ones(
    found: list[str | None], current: str | None, own: set[str | None], former: str | None
) -> None:
    names = [Name({}, topic_id) for topic_id in found]
    assert own_ids(names, current) == own
    assert former_id(names, current) == former


def test_next_offset_is_the_one_after_the_last_that_a_name_says() -> None:
    names = [Name({0: (0, 4), 1: (7, 9)}, ID), Name({0: (5, 5)}, ID), Name({}, ID)]
    assert next_offsets("t", names) == {("t", 0): 6, ("t", 1): 10}
