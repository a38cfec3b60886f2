"""Ranges of offsets: gaps, the start of the part without gaps, and overlaps."""

import pytest

from spark_jobs.kafka_source.offset_ranges import Range, Span, gaps, overlapping, start_without_gaps


@pytest.mark.parametrize(
    ("ranges", "end", "missing", "begin"),
    [
        ([], 0, [], 0),
        ([], 7, [], 7),
        ([(0, 4), (5, 9)], 10, [], 0),
        ([(5, 9), (0, 4)], 10, [], 0),
        ([(3, 4), (5, 9)], 8, [], 3),
        ([(0, 4), (7, 9)], 10, [(5, 7)], 7),
        ([(0, 4), (7, 9), (12, 13)], 14, [(5, 7), (10, 12)], 12),
        ([(0, 4)], 10, [(5, 10)], 10),
        ([(0, 9), (2, 3), (4, 12)], 13, [], 0),
        ([(10, 12)], 10, [], 10),
        ([(0, 4), (20, 30)], 5, [], 0),
    ],
)
def test_what_is_missing_and_where_nothing_is_missing_any_more(
    ranges: list[Range], end: int, missing: list[Span], begin: int
) -> None:
    assert gaps(ranges, end) == missing
    assert start_without_gaps(ranges, end) == begin


def test_ranges_that_share_an_offset_are_found_also_if_one_lies_in_another() -> None:
    ranges = [((0, 9), "a"), ((10, 19), "b"), ((12, 13), "c"), ((19, 20), "d"), ((21, 22), "e")]
    assert overlapping(ranges) == {"b", "c", "d"}
    assert overlapping([((0, 4), "a"), ((0, 4), "b")]) == {"a", "b"}
    assert overlapping([]) == set()
