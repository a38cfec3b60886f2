"""Parse a span of time from texts such as 2026-11-25T10:00. The default time zone is UTC."""

from datetime import UTC, datetime
from typing import NamedTuple

from spark_jobs.errors import JobError

FIRST_YEAR, LAST_YEAR = 1971, 9998


class SpanError(JobError):
    """The texts are not a valid span of time."""


class TimeSpan(NamedTuple):
    """The times t with since <= t < until, in UTC."""

    since: datetime
    until: datetime


def time_span(since: str | None, until: str | None) -> TimeSpan | None:
    """Return the span, or None if both texts are empty. Raise SpanError if they are not a valid span."""
    if not since and not until:
        return None
    if not since or not until:
        raise SpanError("FROM and TO belong together: FROM=2026-11-25T10:00 TO=2026-11-25T11:00")
    span = TimeSpan(_moment("FROM", since), _moment("TO", until))
    if span.since >= span.until:
        raise SpanError(f"FROM={since} is not before TO={until}")
    return span


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SpanError(f"{name}={text} is not a time such as 2026-11-25T10:00") from error
    # reach.with_margin widens the span, and Kafka refuses times before 1970.
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise SpanError(f"{name}={text} is not in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment
