"""Parse a span of time from texts such as 2026-11-25T10:00, in UTC unless they have a time zone."""

from datetime import UTC, datetime
from typing import NamedTuple

from spark_jobs.errors import JobError


class SpanError(JobError):
    """The texts are not a valid span of time."""


class TimeSpan(NamedTuple):
    """The times t with since <= t < until, in UTC."""

    since: datetime
    until: datetime


def time_span(since: str | None, until: str | None) -> TimeSpan | None:
    """Return the span; None if both are empty. Raise SpanError if they are not a span."""
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
        raise SpanError(f"{name}={written} is not a time such as 2026-11-25T10:00") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
