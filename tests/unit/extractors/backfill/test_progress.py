"""Test which holes are left to fill, across restarts."""

from pathlib import Path

import pytest

from extractors.backfill.holes import HOUR, MINUTE, SECOND, Hole
from extractors.backfill.progress import FILE, BackfillProgress

T = 1_743_147_448_000_000
NEXT_HOUR = (T // HOUR + 1) * HOUR
LATER = T // MINUTE * MINUTE + 100 * MINUTE
YEAR = 365 * 24 * HOUR


def holes(progress: BackfillProgress, now: int = LATER) -> list[Hole]:
    """Remove and return the holes that are left and due, newest first."""
    found = []
    while filling := progress.next(now):
        found.append(filling.hole)
        progress.remove(filling)
    return found


def test_the_first_hole_of_a_first_start_has_no_beginning(tmp_path: Path) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T, T + 2_000_000)
    assert holes(progress) == [Hole(0, T + 2_000_000)]


def test_the_first_hole_of_a_restart_begins_with_the_last_ticker_of_the_former_process(
    tmp_path: Path,
) -> None:
    former = BackfillProgress.load(tmp_path)
    former.flowing(T)
    former.save(tmp_path)
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T + 5 * MINUTE, T + 6 * MINUTE)
    progress.interrupted(T + 8 * MINUTE, T + 9 * MINUTE)
    assert holes(progress) == [
        Hole(T + 8 * MINUTE, T + 9 * MINUTE),
        Hole(T, T + 6 * MINUTE),
    ]


def test_a_restart_of_a_few_seconds_is_filled(tmp_path: Path) -> None:
    former = BackfillProgress.load(tmp_path)
    former.flowing(T)
    former.save(tmp_path)
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T + 4 * SECOND, T + 5 * SECOND)
    assert holes(progress) == [Hole(T, T + 5 * SECOND)]


def test_a_short_hole_is_not_filled(tmp_path: Path) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T, T + 1)
    assert len(holes(progress)) == 1
    progress.interrupted(T + MINUTE, T + 2 * MINUTE - 1)
    assert holes(progress) == []
    progress.interrupted(T + MINUTE, T + 2 * MINUTE)
    assert len(holes(progress)) == 1


def test_a_hole_whose_last_minute_is_not_over_waits(tmp_path: Path) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T, T + 1)
    assert progress.next(T + 1) is None
    assert progress.next(T + 2 * MINUTE)


def test_a_restart_goes_on_with_the_symbols_that_are_left(tmp_path: Path) -> None:
    former = BackfillProgress.load(tmp_path)
    former.interrupted(T, T + 1)
    filling = former.next(LATER)
    assert filling
    former.add_symbol(filling, "BTCUSDT")
    former.add_symbol(filling, "币安人生USDT")
    former.flowing(T + 5)
    former.save(tmp_path)

    found = BackfillProgress.load(tmp_path).next(LATER)
    assert found
    assert (found.hole, found.symbols) == (Hole(0, T + 1), {"BTCUSDT", "币安人生USDT"})


def test_hours_that_ended_since_the_first_hole_are_a_hole_once(tmp_path: Path) -> None:
    former = BackfillProgress.load(tmp_path)
    former.end_hours(T)
    former.interrupted(T, T + 1)
    former.end_hours(NEXT_HOUR - 1)
    assert holes(former) == [Hole(0, T + 1)]
    former.end_hours(NEXT_HOUR)
    former.end_hours(NEXT_HOUR + 1)
    former.save(tmp_path)

    progress = BackfillProgress.load(tmp_path)
    assert holes(progress) == [Hole(NEXT_HOUR - HOUR, NEXT_HOUR, only_hours=True)]
    progress.interrupted(NEXT_HOUR, NEXT_HOUR + 1)
    progress.end_hours(NEXT_HOUR + 2 * HOUR)
    [hours, _] = holes(progress, NEXT_HOUR + 3 * HOUR)
    assert hours == Hole(NEXT_HOUR, NEXT_HOUR + 2 * HOUR, only_hours=True)


def test_times_of_a_clock_that_was_ahead_hide_no_later_hole(tmp_path: Path) -> None:
    former = BackfillProgress.load(tmp_path)
    former.interrupted(T + YEAR, T + YEAR + 1)
    former.flowing(T + YEAR + MINUTE)
    former.end_hours(T + YEAR + 2 * HOUR)
    former.save(tmp_path)

    corrected = BackfillProgress.load(tmp_path)
    corrected.end_hours(T)
    corrected.flowing(T)
    corrected.save(tmp_path)
    corrected.end_hours(NEXT_HOUR)
    assert holes(corrected) == [Hole(NEXT_HOUR - HOUR, NEXT_HOUR, only_hours=True)]
    assert holes(corrected, LATER + MINUTE) == [Hole(0, LATER)]

    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T + 5 * MINUTE, T + 6 * MINUTE)
    assert holes(progress) == [Hole(T, T + 6 * MINUTE)]


def test_a_clock_that_is_set_back_during_an_interruption_hides_no_later_hole(
    tmp_path: Path,
) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T + YEAR, T)
    progress.interrupted(T + YEAR, T + MINUTE)
    progress.interrupted(T + MINUTE, T + 2 * MINUTE)
    assert holes(progress) == [Hole(T + MINUTE, T + 2 * MINUTE), Hole(0, T)]


def test_a_hole_of_a_clock_that_was_ahead_is_asked_for_anew_up_to_now(tmp_path: Path) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T + YEAR, T + YEAR + 1)
    filling = progress.next(T + YEAR + HOUR)
    assert filling
    progress.add_symbol(filling, "BTCUSDT")
    assert progress.next(LATER) is None
    cut = progress.next(LATER + 2 * MINUTE)
    assert cut
    assert (cut.hole, cut.symbols) == (Hole(0, LATER), set())


def test_a_hole_that_lies_ahead_is_dropped(tmp_path: Path) -> None:
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T, T + 1)
    assert len(holes(progress)) == 1
    progress.interrupted(T + YEAR, T + YEAR + HOUR)
    assert holes(progress) == holes(progress, T + 2 * YEAR) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"flowing_until":"x","holes":[]}', '{"holes":[]}']
)
def test_a_corrupt_record_counts_as_a_first_start(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    progress = BackfillProgress.load(tmp_path)
    progress.interrupted(T, T + 1)
    assert holes(progress) == [Hole(0, T + 1)]
