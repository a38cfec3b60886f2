"""The names of the archive's objects, which say by themselves which offsets they hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.archive_names import file_name, place, ranges_of


def test_name_says_the_offsets_by_partition_in_order() -> None:
    assert file_name({1: (98, 140), 0: (120, 179)}) == "0.120-179_1.98-140.parquet"
    assert file_name({10: (0, 0), 9: (5, 5)}) == "9.5-5_10.0-0.parquet"


def test_offsets_are_read_back_from_the_name() -> None:
    assert ranges_of("0.120-179_1.98-140.parquet") == {0: (120, 179), 1: (98, 140)}


OFFSETS = st.integers(0, 2**63 - 1)
RANGES = st.dictionaries(
    st.integers(0, 2**31 - 1), st.tuples(OFFSETS, OFFSETS), min_size=1, max_size=8
)


@settings(max_examples=50, deadline=None)
@given(RANGES)
def test_every_name_is_read_back(ranges: dict[int, tuple[int, int]]) -> None:
    assert ranges_of(file_name(ranges)) == ranges


@pytest.mark.parametrize(
    "name",
    [
        "_SUCCESS",
        ".part-0.parquet.crc",
        "part-00000-3b0a4a5c-7d1e-4f43-9d0e-52f7a1f0c1a2.c000.zstd.parquet",
        "",
    ],
)
def test_name_of_another_kind_holds_no_offsets(name: str) -> None:
    assert ranges_of(name) == {}


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
    assert place(path) == "kucoin_raw_data/date=2026-11-22/hour=18/part-0.parquet"
