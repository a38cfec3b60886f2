"""Compute when a feed was connected and when it was interrupted.

A hole is a span without a connection, or an interruption: tickers in it may be missing. A program that
is killed can't report the end of its connections. A connection without a reported end counts as open until
the next program starts. Then its end is estimated: the end of the last full minute with a candle before that
start. The hole is too short or too long by up to a minute. Without such a minute, the connection counts as
ended at its start. The hole is then too long by up to two minutes, or by more if the candles have been
deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from server.rest.query_connection import QueryConnection

MINUTE = timedelta(minutes=1)

# If the end of an interruption was not reported, it lasts at most until the next one begins. If that of a
# connection was not, it lasts at most until the next program starts: connections overlap at a rotation. The
# reason of a program's first interruption is "start", alone or with a refusal: "start; ...".
# Events dated ahead are left out: their extractor's clock was ahead.
SPANS = """
SELECT exchange, kind, "from", "to", latest_end FROM (
    SELECT exchange, kind, "from", "to", CASE kind
        WHEN 'interruption' THEN lead("from") OVER (PARTITION BY exchange, kind ORDER BY "from")
        ELSE min("from") FILTER (WHERE kind = 'interruption' AND split_part(reason, ';', 1) = 'start')
            OVER (PARTITION BY exchange ORDER BY "from" DESC, kind ROWS UNBOUNDED PRECEDING)
    END AS latest_end
    FROM feed_events
    WHERE exchange = ANY (%(exchanges)s) AND kind IN ('connection', 'interruption') AND "from" <= now()
) AS event
WHERE coalesce("to", latest_end, 'infinity') > %(since)s
ORDER BY exchange, "from"
"""

# A symbol's newest minute takes one lookup in the index (exchange, symbol, minute), and an exchange has over
# 1,000 symbols. A killed program is usually restarted within a minute, so look first for any candle of the
# last minute that had ended by then: the symbols with the newest prices most likely have one. The minute of
# the restart proves nothing, as the next connection makes candles of it too.
LAST_CANDLES = """
WITH live AS MATERIALIZED (SELECT exchange, symbol FROM live_prices ORDER BY received_at DESC)
SELECT span.exchange, span.since, (
    SELECT coalesce(
        (
            SELECT found.minute FROM live, LATERAL (
                SELECT minute FROM candles_1m
                WHERE candles_1m.exchange = live.exchange AND candles_1m.symbol = live.symbol
                    AND minute = last.minute
                LIMIT 1
            ) AS found
            WHERE live.exchange = span.exchange
            LIMIT 1
        ),
        (
            SELECT max(newest.minute) FROM live, LATERAL (
                SELECT minute FROM candles_1m
                WHERE candles_1m.exchange = live.exchange AND candles_1m.symbol = live.symbol
                    AND minute >= span.since AND minute < last.minute
                ORDER BY minute DESC LIMIT 1
            ) AS newest
            WHERE live.exchange = span.exchange
        )
    )
    WHERE last.minute >= span.since
)
FROM unnest(%(exchanges)s, %(since)s::timestamptz[], %(until)s::timestamptz[])
    AS span (exchange, since, until),
    LATERAL (SELECT date_trunc('minute', span.until) - interval '1 minute') AS last (minute)
"""


class Span(NamedTuple):
    start: datetime
    end: datetime


class FeedSpan(NamedTuple):
    """A row of SPANS: a connection or an interruption.

    `latest_end` is when it had ended even if no end was reported; None if it may still last.
    """

    exchange: str
    kind: str
    start: datetime
    end: datetime | None
    latest_end: datetime | None


class FeedTimes(NamedTuple):
    """When a feed was connected, and when it was interrupted."""

    connected: Sequence[Span]
    interrupted: Sequence[Span]

    def covered(self, limits: Span) -> list[Span]:
        """Return the spans with a connection within the limits."""
        return union(clipped(self.connected, limits))

    def holes(self, limits: Span) -> list[Span]:
        """Return the spans within the limits in which tickers may be missing."""
        missing = complement(self.covered(limits), limits)
        return union([*missing, *clipped(self.interrupted, limits)])


async def feed_times(
    queries: QueryConnection, exchanges: Sequence[str], since: datetime, now: datetime
) -> dict[str, FeedTimes]:
    """Return the times of each feed from `since` on."""
    rows = await queries.rows(SPANS, {"exchanges": list(exchanges), "since": since})
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
    return {each: times_of(each, events, last_candles, now) for each in exchanges}


def unreported_ends(events: Sequence[FeedSpan]) -> list[tuple[str, Span]]:
    """Return exchange and span of each connection of a killed program, up to the next program's start.

    Until another program starts, a connection counts as open.
    """
    return [
        (each.exchange, Span(each.start, each.latest_end))
        for each in events
        if each.kind == "connection" and each.end is None and each.latest_end is not None
    ]


def times_of(
    exchange: str,
    events: Iterable[FeedSpan],
    last_candles: Mapping[tuple[str, datetime], datetime | None],
    now: datetime,
) -> FeedTimes:
    """Return the times of one feed.

    `last_candles` has the newest minute of each of `unreported_ends`, by exchange and start.
    """
    connected, interrupted = [], []
    for each in events:
        if each.exchange != exchange:
            continue
        if each.kind == "connection":
            end = each.end or _end_by_candles(each, last_candles, now)
            connected.append(Span(each.start, end))
        else:
            interrupted.append(Span(each.start, each.end or each.latest_end or now))
    return FeedTimes(connected, interrupted)


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
    """Return the parts of `limits` outside the spans, which are sorted, disjoint and within the limits."""
    left = []
    start = limits.start
    for span in spans:
        if start < span.start:
            left.append(Span(start, span.start))
        start = span.end
    if start < limits.end:
        left.append(Span(start, limits.end))
    return left
