"""Test which candles fill a hole."""

from datetime import UTC, datetime, timedelta

import pytest

from extractors.backfill.holes import DAY, HOUR, MINUTE, Hole, Part, parts_of

REACH = {"1m": 6 * HOUR, "1h": 30 * DAY, "1d": 365 * DAY}
END = datetime(2025, 3, 28, 7, 37, 28, tzinfo=UTC)
LIMIT = 1000


def at(moment: datetime) -> int:
    return round(moment.timestamp())


def hole(length: timedelta) -> Hole:
    end = at(END) * 1_000_000
    return Hole(end - length // timedelta(microseconds=1), end)


def test_an_interruption_needs_the_minutes_that_it_touched() -> None:
    [part] = parts_of(hole(timedelta(minutes=2)), REACH, LIMIT)
    assert part == Part(
        "1m",
        at(datetime(2025, 3, 28, 7, 35, tzinfo=UTC)),
        at(datetime(2025, 3, 28, 7, 38, tzinfo=UTC)),
    )


def test_a_new_journal_needs_minutes_hours_and_days() -> None:
    parts = parts_of(Hole(0, at(END) * 1_000_000), REACH, LIMIT)
    assert [(part.interval, part.start, part.end) for part in parts] == [
        (
            "1m",
            at(datetime(2025, 3, 28, 1, 37, tzinfo=UTC)),
            at(datetime(2025, 3, 28, 7, 38, tzinfo=UTC)),
        ),
        (
            "1h",
            at(datetime(2025, 2, 26, 7, tzinfo=UTC)),
            at(datetime(2025, 3, 28, 8, tzinfo=UTC)),
        ),
        ("1d", at(datetime(2024, 3, 28, tzinfo=UTC)), at(datetime(2025, 3, 29, tzinfo=UTC))),
    ]


def test_hours_are_needed_only_if_minutes_do_not_reach_the_start() -> None:
    assert [p.interval for p in parts_of(hole(timedelta(hours=5)), REACH, LIMIT)] == ["1m"]
    assert [p.interval for p in parts_of(hole(timedelta(hours=7)), REACH, LIMIT)] == ["1m", "1h"]


def test_a_hole_of_volumes_needs_hours_alone() -> None:
    start, end = datetime(2025, 3, 28, 5, tzinfo=UTC), datetime(2025, 3, 28, 7, tzinfo=UTC)
    volumes = Hole(at(start) * 1_000_000, at(end) * 1_000_000, only_hours=True)
    assert parts_of(volumes, REACH, LIMIT) == [Part("1h", at(start), at(end))]


def test_an_interval_without_reach_is_left_out() -> None:
    parts = parts_of(Hole(0, at(END) * 1_000_000), REACH | {"1m": 0, "1d": 0}, LIMIT)
    assert [part.interval for part in parts] == ["1h"]


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_parts_have_up_to_the_limit_of_candles_and_no_gap(limit: int) -> None:
    parts = parts_of(hole(timedelta(hours=2)), REACH, limit)
    newest_first = [(part.start, part.end) for part in parts]
    assert all(0 < end - start <= limit * 60 for start, end in newest_first)
    assert [start for start, _ in newest_first[:-1]] == [end for _, end in newest_first[1:]]
    assert newest_first[-1][0] == at(datetime(2025, 3, 28, 5, 37, tzinfo=UTC))
    assert newest_first[0][1] == at(datetime(2025, 3, 28, 7, 38, tzinfo=UTC))


def test_a_hole_is_due_when_its_last_minute_is_over() -> None:
    end = at(END) * 1_000_000
    assert end < Hole(0, end).due < end + 2 * MINUTE
    assert Hole(0, end).due > at(datetime(2025, 3, 28, 7, 38, tzinfo=UTC)) * 1_000_000
