"""How each exchange's feed is: where it comes from, how old its newest price is, what befell it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Exchange, Instant
from server.rest.query_connection import QueryConnection
from server.state.price_table import PriceTable
from server.state.prices import Price
from server.state.provenance import is_simulated
from server.state.unreadable import Unreadable

EVENTS = """
SELECT event.exchange, endpoint, kind, reason, "from", "to", frames
FROM unnest(%(exchanges)s) AS feed (name), LATERAL (
    SELECT * FROM feed_events
    WHERE exchange = feed.name
    ORDER BY "from" DESC, kind LIMIT %(limit)s
) AS event
ORDER BY exchange, "from" DESC, kind
"""

# An older one without an end is over as well: its extractor was killed before it could tell.
INTERRUPTIONS = """
SELECT * FROM (
    SELECT DISTINCT ON (exchange) exchange, endpoint, kind, reason, "from", "to", frames
    FROM feed_events
    WHERE kind = 'interruption'
    ORDER BY exchange, "from" DESC
) AS newest
WHERE "to" IS NULL
"""


EVENT_COLUMNS = ("endpoint", "kind", "reason", "from", "to", "frames")


class FeedFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=0, le=100, description="How many events of each feed")] = 10


class FeedEvent(BaseModel):
    endpoint: str | None
    kind: Annotated[str, Field(description="connection, interruption or rotation")]
    reason: str | None
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant | None, Field(alias="to", description="null: not told that it is over")]
    frames: int


class Feed(BaseModel):
    exchange: Exchange
    title: Annotated[str, Field(description="The name that people know", examples=["KuCoin"])]
    endpoint: Annotated[str | None, Field(description="The host that the newest price came from")]
    simulated: Annotated[bool | None, Field(description="null as long as there is no price")]
    newest_price_at: Instant | None
    age_seconds: Annotated[float | None, Field(description="Of the newest price, since it arrived")]
    symbols: Annotated[int, Field(description="How many have a price")]
    unreadable: Annotated[
        Unreadable | None, Field(description="null when it sent nothing in the last minute")
    ]
    interruption: Annotated[FeedEvent | None, Field(description="The one that still goes on")]
    events: Annotated[list[FeedEvent], Field(description="The newest first")]


class Feeds(BaseModel):
    id: Annotated[str, Field(description="The state that the prices are as of")]
    feeds: list[Feed]


async def feeds(
    queries: QueryConnection,
    prices: PriceTable,
    unreadable: Mapping[str, Unreadable],
    which: FeedFilter,
) -> Feeds:
    asked = {"exchanges": list(EXCHANGE), "limit": which.limit}
    events = by_exchange(await queries.rows(EVENTS, asked))
    interruptions = by_exchange(await queries.rows(INTERRUPTIONS, asked))
    now = datetime.now(UTC)
    return Feeds(
        id=prices.name(prices.id),
        feeds=[
            feed(
                each,
                prices.of(each),
                unreadable.get(each),
                interruptions[each],
                events[each],
                now,
            )
            for each in EXCHANGE
        ],
    )


def by_exchange(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[FeedEvent]]:
    """Of rows that are an exchange and the values of EVENT_COLUMNS."""
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
    now: datetime,
) -> Feed:
    """`interruptions` are those that still go on: none or one."""
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
    )
