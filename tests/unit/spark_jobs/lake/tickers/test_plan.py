"""Test which files of the tickers' table are merged next, and that merging comes to an end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest

from spark_jobs.lake.tickers.log import TableFile
from spark_jobs.lake.tickers.plan import MAX_RUNS, Run, chained, next_step

MB = 1_000_000
LARGE = 128 * MB
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEXT_DAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = count()


def file(
    size: int, first: str = "1INCHUSDT", last: str = "ZRXUSDT", at: datetime = NOON
) -> TableFile:
    date = str(at.date())
    return TableFile(
        path=f"date={date}/exchange=binance/{next(NAMES)}.zstd.parquet",
        date=date,
        exchange="binance",
        size=size,
        modified=round(at.timestamp() * 1000),
        first_symbol=first,
        last_symbol=last,
    )


def merged(runs: Sequence[Run]) -> list[TableFile]:
    """Return the files that a merge makes of the runs: closed at LARGE, with different symbols."""
    old = [each for run in runs for each in run]
    size, files = sum(each.size for each in old), list[TableFile]()
    while size > 0:
        symbol = f"{len(files):03}"
        files.append(replace(file(min(size, LARGE), symbol, symbol), modified=old[0].modified))
        size -= LARGE
    return files


def test_a_day_in_progress_is_left_alone_until_its_small_files_are_many() -> None:
    files = [file(3 * MB) for _ in range(MAX_RUNS - 1)]
    assert next_step(files, NOON, LARGE) == []
    files.append(file(3 * MB))
    assert next_step(files, NOON, LARGE) == [[each] for each in files]
    assert next_step([file(100 * MB) for _ in range(200)], NOON, LARGE) == []


def test_small_files_are_joined_as_soon_as_they_fill_a_large_one_and_the_smallest_come_first() -> (
    None
):
    files = [file(size * MB) for size in (60, 15, 50, 20)]
    assert next_step(files, NOON, LARGE) == [[files[1]], [files[3]], [files[2]]]


def test_a_day_that_is_over_becomes_one_run_once() -> None:
    files = [file(3 * MB), file(100 * MB), file(100 * MB)]
    runs = next_step(files, NEXT_DAY, LARGE)
    assert sorted(map(len, runs)) == [1, 1, 1]
    assert next_step(merged(runs), NEXT_DAY, LARGE) == []


def test_a_day_to_which_something_was_added_within_an_hour_is_not_over() -> None:
    late = replace(file(3 * MB), modified=round(NEXT_DAY.timestamp() * 1000))
    files = [file(100 * MB), late]
    assert next_step(files, NEXT_DAY + timedelta(minutes=59), LARGE) == []
    assert len(next_step(files, NEXT_DAY + timedelta(minutes=61), LARGE)) == 2


def test_a_file_that_spark_wrote_is_written_anew_though_it_is_alone() -> None:
    old = replace(file(100 * MB), path="date=2026-11-20/exchange=binance/part-00000-a.parquet")
    assert next_step([old], NEXT_DAY, LARGE) == [[old]]


def test_a_symbol_that_is_cut_between_two_files_is_no_reason_to_begin_again() -> None:
    files = [file(LARGE, "ABC", "BTC"), file(LARGE, "BTC", "BTC"), file(MB, "BTC", "XYZ")]
    assert next_step(files, NEXT_DAY, LARGE) == []
    assert [len(run) for run in chained(files)] == [1, 1, 1]


def test_files_of_different_symbols_form_a_run_in_their_order() -> None:
    files = [file(MB, "D", "E"), file(MB, "A", "B"), file(MB, "B", "C"), file(MB, "C", "D")]
    runs = sorted([each.first_symbol for each in run] for run in chained(files))
    assert runs == [["A", "C"], ["B", "D"]]


def test_the_newest_day_comes_first_and_exchanges_are_apart() -> None:
    old = [file(MB, at=NOON - timedelta(days=1)) for _ in range(2)]
    new = [replace(file(MB), exchange="kucoin") for _ in range(2)]
    assert next_step([*old, *new, file(MB)], NEXT_DAY, LARGE) == [[each] for each in new]


@pytest.mark.parametrize("seed", range(10))
def test_any_day_comes_to_an_end_with_files_of_bounded_size(seed: int) -> None:
    random = Random(seed)
    sizes = [random.randint(1, random.choice((MB, 15 * MB, LARGE))) for _ in range(400)]
    files = [file(size) for size in sizes]
    rewritten = 0
    while runs := next_step(files, NEXT_DAY, LARGE):
        old = [each for run in runs for each in run]
        assert len(runs) <= MAX_RUNS
        files = [each for each in files if each not in old] + merged(runs)
        rewritten += sum(each.size for each in old)
        assert rewritten < 10 * sum(sizes)
    assert sum(each.size for each in files) == sum(sizes)
    assert max(each.size for each in files) <= LARGE
