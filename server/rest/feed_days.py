"""Condition of each day of a feed: complete, with holes, or missing."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from exchanges import EXCHANGE
from server.rest.feed_times import FeedTimes, Span, feed_times
from server.rest.query_connection import QueryConnection

DAY = timedelta(days=1)


class FeedDay(BaseModel):
    day: Annotated[date, Field(description="In UTC")]
    condition: Annotated[
        Literal["complete", "holes", "missing"],
        Field(description="missing: no connection on that day, as far as it has passed"),
    ]
    missing_seconds: Annotated[
        float, Field(description="Seconds in which tickers may be missing, rounded to tenths")
    ]


async def feed_days(
    queries: QueryConnection, span: Span, now: datetime
) -> dict[str, list[FeedDay]]:
    """Return the days of each exchange that the span touches, oldest first."""
    since = _midnight(span.start.astimezone(UTC).date())
    times = await feed_times(queries, [*EXCHANGE], since, now)
    return {each: days_of(times[each], span, now) for each in EXCHANGE}


def days_of(times: FeedTimes, span: Span, now: datetime) -> list[FeedDay]:
    """Return the condition of each day that the span touches, oldest first."""
    return [_condition(day, times, now) for day in _days(span) if _midnight(day) < now]


def _days(span: Span) -> list[date]:
    first = span.start.astimezone(UTC).date()
    last = (span.end - timedelta(microseconds=1)).astimezone(UTC).date()
    return [first + number * DAY for number in range((last - first).days + 1)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _condition(day: date, times: FeedTimes, now: datetime) -> FeedDay:
    start = _midnight(day)
    whole = Span(start, min(start + DAY, now))
    missing = sum((hole.end - hole.start for hole in times.holes(whole)), timedelta())
    condition: Literal["complete", "holes", "missing"] = "holes"
    if not times.covered(whole):
        condition = "missing"
    elif not missing:
        condition = "complete"
    return FeedDay(day=day, condition=condition, missing_seconds=round(missing.total_seconds(), 1))
