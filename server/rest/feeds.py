"""Return source, age and recent interruptions of each exchange's feed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from exchanges import EXCHANGE
from server.fields import Exchange, Instant
from server.rest.feed_days import DAY, FeedDay, Span, feed_days
from server.rest.query_connection import QueryConnection
from server.state.price_table import PriceTable
from server.state.prices import Price
from server.state.provenance import is_simulated
from server.state.unreadable import Unreadable
from server.times import FIRST, Time, end_after_start

EVENTS = """
SELECT event.exchange, endpoint, kind, reason, "from", "to", frames
FROM unnest(%(exchanges)s) AS feed (name), LATERAL (
    SELECT * FROM feed_events
    WHERE exchange = feed.name AND "from" >= %(since)s AND "from" < %(until)s
    ORDER BY "from" DESC, kind LIMIT %(limit)s
) AS event
ORDER BY exchange, "from" DESC, kind
"""

# Only an exchange's newest interruption can be ongoing. An older one without an end is over too: its
# extractor was killed before it could report the end.
INTERRUPTIONS = """
SELECT * FROM (
    SELECT DISTINCT ON (exchange) exchange, endpoint, kind, reason, "from", "to", frames
    FROM feed_events
    WHERE kind = 'interruption'
    ORDER BY exchange, "from" DESC
) AS newest
WHERE "to" IS NULL
"""


DAYS_SHOWN = 7
"""Number of days before `to` whose condition is returned by default."""

MAX_DAYS = 92
"""Maximum number of days in an answer: the newest ones of a longer span."""

EVENT_COLUMNS = ("endpoint", "kind", "reason", "from", "to", "frames")


class FeedFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: Annotated[
        Time | None,
        Field(
            alias="from",
            description="ISO 8601: list only events that began at this time or later. Days are listed"
            f" from here on, up to {MAX_DAYS} before `to` (default: {DAYS_SHOWN})",
        ),
    ] = None
    end: Annotated[
        Time | None,
        Field(alias="to", description="ISO 8601: the end of events and days (default: now)"),
    ] = None
    limit: Annotated[
        int, Field(ge=0, le=100, description="Maximum number of events of each feed")
    ] = 10

    _end = field_validator("end")(end_after_start)


class FeedEvent(BaseModel):
    endpoint: str | None
    kind: Annotated[str, Field(description="connection, interruption or rotation")]
    reason: str | None
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant | None, Field(alias="to", description="null until the end is reported")]
    frames: int


class Feed(BaseModel):
    exchange: Exchange
    title: Annotated[str, Field(description="Display name", examples=["KuCoin"])]
    endpoint: Annotated[str | None, Field(description="The host that the newest price came from")]
    simulated: Annotated[bool | None, Field(description="null until there is a price")]
    newest_price_at: Instant | None
    age_seconds: Annotated[float | None, Field(description="Since the newest price arrived")]
    symbols: Annotated[int, Field(description="Number of symbols with a price")]
    unreadable: Annotated[
        Unreadable | None, Field(description="null if the exchange sent nothing in the last minute")
    ]
    interruption: Annotated[FeedEvent | None, Field(description="The ongoing interruption")]
    events: Annotated[list[FeedEvent], Field(description="Newest first")]
    days: Annotated[list[FeedDay], Field(description="Oldest first")]


class Feeds(BaseModel):
    id: Annotated[str, Field(description="The `id` of the state that the prices are from")]
    feeds: list[Feed]


async def feeds(
    queries: QueryConnection,
    prices: PriceTable,
    unreadable: Mapping[str, Unreadable],
    which: FeedFilter,
) -> Feeds:
    now = datetime.now(UTC)
    until = which.end or now
    parameters = {
        "exchanges": list(EXCHANGE),
        "limit": which.limit,
        "since": which.start or FIRST,
        "until": until,
    }
    events = by_exchange(await queries.rows(EVENTS, parameters))
    interruptions = by_exchange(await queries.rows(INTERRUPTIONS, parameters))
    span = shown_days(which.start, until)
    days = await feed_days(queries, span, now)
    return Feeds(
        id=prices.name(prices.id),
        feeds=[
            feed(
                each,
                prices.of(each),
                unreadable.get(each),
                interruptions[each],
                events[each],
                days[each],
                now,
            )
            for each in EXCHANGE
        ],
    )


def shown_days(start: datetime | None, until: datetime) -> Span:
    """Return the days to show: up to MAX_DAYS from `start`, DAYS_SHOWN without it."""
    earliest = until - MAX_DAYS * DAY
    return Span(until - DAYS_SHOWN * DAY if start is None else max(start, earliest), until)


def by_exchange(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[FeedEvent]]:
    """Return the events of each exchange. A row is the exchange, then the values of EVENT_COLUMNS."""
    events = defaultdict(list)
    for exchange, *values in rows:
        event = FeedEvent.model_validate(dict(zip(EVENT_COLUMNS, values, strict=True)))
        events[exchange].append(event)
    return events


def feed(
    exchange: Exchange,
    prices: list[Price],
    unreadable: Unreadable | None,
    interruptions: list[FeedEvent],
    events: list[FeedEvent],
    days: list[FeedDay],
    now: datetime,
) -> Feed:
    """Return the feed of an exchange. `interruptions` has the ongoing one, if any."""
    newest = max(prices, key=lambda price: price.received_at, default=None)
    return Feed(
        exchange=exchange,
        title=EXCHANGE[exchange].title,
        endpoint=newest and newest.endpoint,
        simulated=newest and is_simulated(newest.endpoint),
        newest_price_at=newest and newest.received_at,
        age_seconds=newest and round((now - newest.received_at).total_seconds(), 3),
        symbols=len(prices),
        unreadable=unreadable,
        interruption=interruptions[0] if interruptions else None,
        events=events,
        days=days,
    )
