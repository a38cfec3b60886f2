"""Spans of time are parsed from texts."""

from datetime import UTC, datetime

import pytest

from spark_jobs.kafka_source.time_span import SpanError, TimeSpan, time_span

TEN = datetime(2026, 11, 25, 10, tzinfo=UTC)


def test_times_without_a_zone_are_utc_and_others_become_it() -> None:
    eleven = TEN.replace(hour=11)
    assert time_span("2026-11-25T10:00", "2026-11-25T11:00:00") == TimeSpan(TEN, eleven)
    assert time_span("2026-11-25T11:00+01:00", "2026-11-25T11:00Z") == TimeSpan(TEN, eleven)
    assert time_span(None, None) is None
    assert time_span("", "") is None


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("2026-11-25T10:00", None, "FROM and TO belong together"),
        (None, "2026-11-25T10:00", "FROM and TO belong together"),
        ("ten", "2026-11-25T10:00", "FROM=ten is not a time such as"),
        ("2026-11-25T10:00", "2026-11-25T25:00", "TO=2026-11-25T25:00 is not a time such as"),
        ("2026-11-25T10:00", "2026-11-25T10:00", "is not before"),
        ("1970-01-01", "2026-11-25T10:00", "FROM=1970-01-01 is not in the years 1971 to 9998"),
        ("2026-11-25T10:00", "9999-12-31", "TO=9999-12-31 is not in the years 1971 to 9998"),
        ("0001-01-01T00:00+05:00", "2026-11-25", r"FROM=0001-01-01T00:00\+05:00 is not a time"),
    ],
)
def test_what_is_no_span_is_refused_by_name(
    since: str | None, until: str | None, message: str
) -> None:
    with pytest.raises(SpanError, match=message):
        time_span(since, until)
