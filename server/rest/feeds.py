"""Return source, age and recent interruptions of each exchange's feed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from exchanges import EXCHANGE
from server.fields import Exchange, Instant
from server.rest.feed_days import DAY, FeedDay, feed_days
from server.rest.feed_times import Span
from server.rest.filled import Interrupted, are_all_filled, filled_pairs, pairs_of
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

# Of an exchange's interruptions that are not dated ahead, only the newest can be ongoing. An older one is
# over even without an end: its extractor was killed before it could report that.
INTERRUPTIONS = """
SELECT * FROM (
    SELECT DISTINCT ON (exchange) exchange, endpoint, kind, reason, "from", "to", frames
    FROM feed_events
    WHERE kind = 'interruption' AND "from" <= now()
    ORDER BY exchange, "from" DESC
) AS newest
WHERE "to" IS NULL
"""


DAYS_SHOWN = 7
"""Default length in days of the span up to `to`. It touches one more day, unless `to` is midnight."""

MAX_DAYS = 92
"""Maximum length in days of that span. A longer one begins later."""

EVENT_COLUMNS = ("endpoint", "kind", "reason", "from", "to", "frames")


class FeedFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: Annotated[
        Time | None,
        Field(
            alias="from",
            description="ISO 8601: list only events that began at this time or later (default: of any age)."
            f" Days are listed from here on, up to {MAX_DAYS} before `to` (default: {DAYS_SHOWN})",
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
    filled_pairs: Annotated[
        int | None,
        Field(
            description="Pairs whose candles were requested from the exchange for all of an interruption's"
            " time; null for other events, and until the end is reported"
        ),
    ] = None
    filled: Annotated[
        bool | None, Field(description="Whether these are all pairs that trade now")
    ] = None


class Feed(BaseModel):
    exchange: Exchange
    title: Annotated[str, Field(description="Display name", examples=["KuCoin"])]
    endpoint: Annotated[str | None, Field(description="The host that the newest price came from")]
    simulated: Annotated[bool | None, Field(description="null until there is a price")]
    newest_price_at: Instant | None
    age_seconds: Annotated[float | None, Field(description="Since the newest price arrived")]
    symbols: Annotated[int, Field(description="Number of symbols with a price")]
    pairs: Annotated[
        int, Field(description="Number of pairs that trade, as the exchange lists them")
    ]
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
    pairs = await pairs_of(queries)
    events = by_exchange(await queries.rows(EVENTS, parameters))
    await count_filled_pairs(queries, events, pairs)
    interruptions = by_exchange(await queries.rows(INTERRUPTIONS, {}))
    span = shown_days(which.start, until)
    days = await feed_days(queries, span, now)
    return Feeds(
        id=prices.name(prices.id),
        feeds=[
            feed(
                each,
                prices.of(each),
                pairs.get(each, 0),
                unreadable.get(each),
                interruptions[each],
                events[each],
                days[each],
                # Not `now`: prices may have arrived while Postgres was queried.
                datetime.now(UTC),
            )
            for each in EXCHANGE
        ],
    )


def shown_days(start: datetime | None, until: datetime) -> Span:
    """Return the span whose days are returned, up to `until`.

    It begins at `start`, but at most MAX_DAYS before `until`, and without `start` DAYS_SHOWN before it.
    """
    earliest = until - MAX_DAYS * DAY
    return Span(until - DAYS_SHOWN * DAY if start is None else max(start, earliest), until)


def by_exchange(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[FeedEvent]]:
    """Return the events of each exchange. A row is the exchange, then the values of EVENT_COLUMNS."""
    events = defaultdict(list)
    for exchange, *values in rows:
        event = FeedEvent.model_validate(dict(zip(EVENT_COLUMNS, values, strict=True)))
        events[exchange].append(event)
    return events


async def count_filled_pairs(
    queries: QueryConnection, events: Mapping[str, list[FeedEvent]], pairs: Mapping[str, int]
) -> None:
    """Set on each interruption that ended how many of the exchange's pairs are filled."""
    ended = {
        Interrupted(exchange, event.start, event.end): event
        for exchange, of_exchange in events.items()
        for event in of_exchange
        if event.kind == "interruption" and event.end is not None
    }
    counts = await filled_pairs(queries, [*ended])
    for interrupted, event in ended.items():
        event.filled_pairs = counts.get(interrupted[:2], 0)
        event.filled = are_all_filled(event.filled_pairs, pairs.get(interrupted.exchange, 0))


def feed(
    exchange: Exchange,
    prices: list[Price],
    pairs: int,
    unreadable: Unreadable | None,
    interruptions: list[FeedEvent],
    events: list[FeedEvent],
    days: list[FeedDay],
    now: datetime,
) -> Feed:
    """Return the feed of an exchange. `interruptions` has the ongoing one, if any."""
    newest = newest_of(prices)
    return Feed(
        exchange=exchange,
        title=EXCHANGE[exchange].title,
        endpoint=newest and newest.endpoint,
        simulated=newest and is_simulated(newest.endpoint),
        newest_price_at=newest and newest.received_at,
        age_seconds=newest and age_of(newest, now),
        symbols=len(prices),
        pairs=pairs,
        unreadable=unreadable,
        interruption=interruptions[0] if interruptions else None,
        events=events,
        days=days,
    )


def newest_of(prices: list[Price]) -> Price | None:
    return max(prices, key=lambda price: price.received_at, default=None)


def age_of(price: Price, now: datetime) -> float:
    """Return the time since the price was received, in seconds."""
    return round((now - price.received_at).total_seconds(), 3)
