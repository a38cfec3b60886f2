"""A span of time as a person writes it: 2026-11-25T10:00, in UTC unless it says otherwise."""

from datetime import UTC, datetime
from typing import NamedTuple

from spark_jobs.errors import JobError


class SpanError(JobError):
    """What was written is no span of time."""


class TimeSpan(NamedTuple):
    """[since, until), in UTC."""

    since: datetime
    until: datetime


def time_span(since: str | None, until: str | None) -> TimeSpan | None:
    """Return the span; None where neither is written. Raise SpanError."""
    if not since and not until:
        return None
    if not since or not until:
        raise SpanError("FROM and TO belong together: FROM=2026-11-25T10:00 TO=2026-11-25T11:00")
    span = TimeSpan(_moment("FROM", since), _moment("TO", until))
    if span.since >= span.until:
        raise SpanError(f"FROM={since} is not before TO={until}")
    return span


def _moment(name: str, written: str) -> datetime:
    try:
        found = datetime.fromisoformat(written)
    except ValueError as error:
        raise SpanError(f"{name}={written} is no time such as 2026-11-25T10:00") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
