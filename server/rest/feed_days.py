"""Condition of each day of a feed: complete, with holes, or missing.

A hole is a span without a connection, or an interruption: tickers in it may be missing. A program that
is killed can't report the end of its connection. Such a connection lasted at most until the next one was
opened; it counts until the end of the last minute in between that has a candle.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field

from exchanges import EXCHANGE
from server.rest.query_connection import QueryConnection

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

# An event of before the span that has no end may last into it, unless a later one shows its end.
SPANS = """
SELECT exchange, kind, "from", "to" FROM feed_events
WHERE exchange = ANY (%(exchanges)s) AND kind IN ('connection', 'interruption')
    AND ("to" IS NULL OR "to" > %(since)s)
ORDER BY exchange, "from"
"""

# Each symbol's newest minute is one step in the key (exchange, symbol, minute).
LAST_CANDLES = """
SELECT span.exchange, span.since, (
    SELECT max(newest.minute) FROM live_prices AS live, LATERAL (
        SELECT minute FROM candles_1m
        WHERE candles_1m.exchange = live.exchange AND candles_1m.symbol = live.symbol
            AND minute >= span.since AND minute < span.until
        ORDER BY minute DESC LIMIT 1
    ) AS newest
    WHERE live.exchange = span.exchange
)
FROM unnest(%(exchanges)s, %(since)s::timestamptz[], %(until)s::timestamptz[])
    AS span (exchange, since, until)
"""


class Span(NamedTuple):
    start: datetime
    end: datetime


class FeedSpan(NamedTuple):
    """A row of SPANS: a connection or an interruption."""

    exchange: str
    kind: str
    start: datetime
    end: datetime | None


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
    rows = await queries.rows(SPANS, {"exchanges": list(EXCHANGE), "since": since})
    events = [FeedSpan(*row) for row in rows]
    killed = unreported_ends(events)
    last_candles: dict[tuple[str, datetime], datetime | None] = {}
    if killed:
        found = await queries.rows(
            LAST_CANDLES,
            {
                "exchanges": [exchange for exchange, _ in killed],
                "since": [connected.start for _, connected in killed],
                "until": [connected.end for _, connected in killed],
            },
        )
        last_candles = {(exchange, since): minute for exchange, since, minute in found}
    return {each: days_of(each, events, last_candles, span, now) for each in EXCHANGE}


def unreported_ends(events: Sequence[FeedSpan]) -> list[tuple[str, Span]]:
    """Return exchange and span of each connection whose end was not reported, up to the next connection.

    `events` are sorted by exchange and start. The newest connection of an exchange is open.
    """
    connections = [each for each in events if each.kind == "connection"]
    return [
        (each.exchange, Span(each.start, following.start))
        for each, following in pairwise(connections)
        if each.end is None and each.exchange == following.exchange
    ]


def days_of(
    exchange: str,
    events: Iterable[FeedSpan],
    last_candles: Mapping[tuple[str, datetime], datetime | None],
    span: Span,
    now: datetime,
) -> list[FeedDay]:
    """Return the condition of each day that the span touches, oldest first.

    `last_candles` has the newest minute of each of `unreported_ends`, by exchange and start.
    """
    own = [each for each in events if each.exchange == exchange]
    connected, interrupted = [], []
    for each in own:
        if each.kind == "connection":
            end = each.end or _end_by_candles(each, last_candles, now)
            connected.append(Span(each.start, end))
        else:
            interrupted.append(Span(each.start, each.end or _next_start(each, own, now)))
    return [
        _condition(day, connected, interrupted, now) for day in _days(span) if _midnight(day) < now
    ]


def _end_by_candles(
    connection: FeedSpan,
    last_candles: Mapping[tuple[str, datetime], datetime | None],
    now: datetime,
) -> datetime:
    key = (connection.exchange, connection.start)
    if key not in last_candles:
        return now
    last = last_candles[key]
    return connection.start if last is None else last + MINUTE


def _next_start(interruption: FeedSpan, events: Sequence[FeedSpan], now: datetime) -> datetime:
    """Return the start of the next interruption: one whose end was not reported ends there."""
    later = (
        each.start
        for each in events
        if each.kind == "interruption" and each.start > interruption.start
    )
    return min(later, default=now)


def _days(span: Span) -> list[date]:
    first = span.start.astimezone(UTC).date()
    last = (span.end - timedelta(microseconds=1)).astimezone(UTC).date()
    return [first + number * DAY for number in range((last - first).days + 1)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _condition(
    day: date, connected: Sequence[Span], interrupted: Sequence[Span], now: datetime
) -> FeedDay:
    start = _midnight(day)
    whole = Span(start, min(start + DAY, now))
    covered = union(clipped(connected, whole))
    holes = union([*complement(covered, whole), *clipped(interrupted, whole)])
    missing = sum((hole.end - hole.start for hole in holes), timedelta())
    condition: Literal["complete", "holes", "missing"] = "holes"
    if not covered:
        condition = "missing"
    elif not missing:
        condition = "complete"
    return FeedDay(day=day, condition=condition, missing_seconds=round(missing.total_seconds(), 1))


def clipped(spans: Iterable[Span], limits: Span) -> list[Span]:
    """Return the parts of the spans within the limits."""
    parts = (Span(max(s.start, limits.start), min(s.end, limits.end)) for s in spans)
    return [part for part in parts if part.start < part.end]


def union(spans: Iterable[Span]) -> list[Span]:
    """Return disjoint spans, sorted, that cover the same time."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start <= joined[-1].end:
            joined[-1] = Span(joined[-1].start, max(joined[-1].end, span.end))
        else:
            joined.append(span)
    return joined


def complement(spans: Iterable[Span], limits: Span) -> list[Span]:
    """Return what the sorted, disjoint spans leave of the limits."""
    left = []
    start = limits.start
    for span in spans:
        if start < span.start:
            left.append(Span(start, span.start))
        start = span.end
    if start < limits.end:
        left.append(Span(start, limits.end))
    return left
