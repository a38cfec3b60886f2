"""Return the last 24 full hours of every symbol, as hourly candles.

    {"time":"2025-03-28T07:37:28.501233Z","from":"2025-03-27T07:00:00.000000Z",
     "to":"2025-03-28T07:00:00.000000Z","days":[every symbol that matches]}

The candles are those of /api/candles with interval=1h: ours where the feed was complete, otherwise the
exchange's. A symbol's JSON is built once for all answers.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Amount, Exchange, Instant
from server.rest.candles import holes_of
from server.rest.etags import answer_with_text
from server.rest.feed_times import Span
from server.rest.query_connection import QueryConnection
from server.state.price_table import Key, PriceTable
from server.state.prices import instant
from server.state.selection import Selection

HOUR = timedelta(hours=1)
HOURS = 24

GRACE = timedelta(minutes=1)
"""Time after the end of an hour until its last updates have arrived: partitions are read in turn."""

SYMBOLS_AT_ONCE = 500
"""Maximum number of symbols per query, which takes some seconds if all candles are made of our minutes."""

# Volumes come from the exchange's hourly candles, even where our minutes supply the prices. A span that was
# answered before its end counts only up to the answer: later candles were unfinished.
DAYS = """
SELECT key.exchange, key.symbol, day.open, day.high, day.low,
    CASE WHEN requested.spans @> tstzrange(%(since)s, %(until)s) THEN volume.base END,
    CASE WHEN requested.spans @> tstzrange(%(since)s, %(until)s) THEN volume.quote END,
    day.hours, day.closes
FROM unnest(%(exchanges)s, %(symbols)s) AS key (exchange, symbol)
JOIN unnest(%(feeds)s, %(holes)s::tstzmultirange[]) AS feed (exchange, holes) USING (exchange)
CROSS JOIN LATERAL (
    SELECT
        trim_scale(max(open) FILTER (WHERE start = %(since)s))::text AS open,
        trim_scale(max(high))::text AS high,
        trim_scale(min(low))::text AS low,
        array_agg(extract(hour FROM start - %(since)s)::integer) AS hours,
        array_agg(trim_scale(close)::text) AS closes
    FROM merged_candles(key.exchange, key.symbol, %(hour)s, %(since)s, %(until)s, feed.holes, true)
) AS day
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN bool_and(base_volume IS NOT NULL) THEN trim_scale(sum(base_volume))::text END
            AS base,
        CASE WHEN bool_and(quote_volume IS NOT NULL) THEN trim_scale(sum(quote_volume))::text END
            AS quote
    FROM exchange_candles AS hour
    WHERE hour.exchange = key.exchange AND hour.symbol = key.symbol AND "interval" = '1h'
        AND start >= %(since)s AND start < %(until)s AND received_at >= start + %(hour)s
) AS volume
CROSS JOIN LATERAL (
    SELECT range_agg(tstzrange(start, least(until, received_at))) AS spans
    FROM exchange_candle_spans AS span
    WHERE span.exchange = key.exchange AND span.symbol = key.symbol AND "interval" = '1h'
        AND reason IS NULL AND start < least(until, received_at) AND until > %(since)s
) AS requested
"""

NEWEST_REQUEST = """
SELECT max(received_at) FROM exchange_candle_spans WHERE until > %(since)s
"""


class Day(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "exchange": "kucoin",
                    "symbol": "BTC-USDT",
                    "open": "87210.01",
                    "high": "87488.45",
                    "low": "83585",
                    "base_volume": "3141.60823",
                    "quote_volume": "267653812.5412",
                    "closes": [*[None] * 20, "86010.2", "85120.5", "85212", "85440.1"],
                }
            ]
        }
    )

    exchange: Exchange
    symbol: str
    open: Annotated[
        Amount | None, Field(description="Of the first hour; null if that has no candle")
    ]
    high: Annotated[Amount | None, Field(description="null if no hour has a candle")]
    low: Annotated[Amount | None, Field(description="null if no hour has a candle")]
    base_volume: Annotated[
        Amount | None,
        Field(
            description="null unless the exchange has answered for all 24 hours, at least one of them"
            " has a candle, and every candle has this volume"
        ),
    ]
    quote_volume: Annotated[
        Amount | None, Field(description="null in the same cases as `base_volume`")
    ]
    closes: Annotated[
        list[Amount | None],
        Field(
            min_length=HOURS,
            max_length=HOURS,
            description="Of each hour, oldest first; null if the hour has no candle",
        ),
    ]


class LastDay(BaseModel):
    time: Annotated[Instant, Field(description="When the days were computed")]
    start: Annotated[Instant, Field(alias="from", description="Start of the first of the 24 hours")]
    end: Annotated[
        Instant,
        Field(
            alias="to", description="End of the last of the 24 hours, when the current one began"
        ),
    ]
    days: Annotated[list[Day], Field(description="Every symbol with a price that matches")]


class State(NamedTuple):
    """What decides whether the days are read again.

    A replay of dead letters does not change it: its candles appear in the next hour at the latest.
    """

    epoch: str
    span: Span
    received: Sequence[datetime | None]
    """Per exchange, when its newest price was received, or the end plus GRACE if that is earlier."""
    holes: Sequence[str]
    newest_request: datetime | None


class Computed(NamedTuple):
    """The last day of all symbols; each symbol's JSON by exchange and symbol."""

    time: datetime
    state: State
    days: Mapping[Key, str]


def answer_with_last_day(
    computed: Computed, prices: PriceTable, selection: Selection, if_none_match: str | None
) -> Response:
    keys = ((price.exchange, price.symbol) for price in prices.where(selection))
    days = ",".join(computed.days[key] for key in keys if key in computed.days)
    time, start, end = (instant(each) for each in (computed.time, *computed.state.span))
    return answer_with_text(
        f'{{"time":"{time}","from":"{start}","to":"{end}","days":[{days}]}}', if_none_match
    )


async def compute_last_day(
    queries: QueryConnection, prices: PriceTable, now: datetime, before: Computed | None
) -> Computed:
    """Return the last day of every symbol. If nothing has changed since `before`, read only new symbols.

    Raise HTTPException: 503 without Postgres.
    """
    span = last_day(now)
    ((newest_request,),) = await queries.rows(NEWEST_REQUEST, {"since": span.start})
    state = State(
        prices.epoch,
        span,
        [received_until(prices.newest_received(each), span) for each in EXCHANGE],
        [await holes_of(queries, each, span, None, now) for each in EXCHANGE],
        newest_request,
    )
    known = before if before is not None and before.state == state else None
    days = {**known.days} if known else {}
    keys = [(price.exchange, price.symbol) for price in prices.where(Selection())]
    unread = [key for key in keys if key not in days]
    if known and not unread:
        # With its time, so that its ETag stays valid.
        return known
    for first in range(0, len(unread), SYMBOLS_AT_ONCE):
        some = unread[first : first + SYMBOLS_AT_ONCE]
        days |= days_of(await queries.rows(DAYS, values(some, state)))
    return Computed(now, state, days)


def values(keys: Iterable[Key], state: State) -> dict[str, Any]:
    """Return the parameters of DAYS."""
    exchanges, symbols = zip(*keys, strict=True)
    return {
        "exchanges": [*exchanges],
        "symbols": [*symbols],
        "feeds": [*EXCHANGE],
        "holes": state.holes,
        "since": state.span.start,
        "until": state.span.end,
        "hour": HOUR,
    }


def last_day(now: datetime) -> Span:
    """Return the last 24 full hours."""
    end = now.replace(minute=0, second=0, microsecond=0)
    return Span(end - HOURS * HOUR, end)


def received_until(newest: datetime | None, span: Span) -> datetime | None:
    return newest and min(newest, span.end + GRACE)


def days_of(rows: Iterable[Sequence[Any]]) -> dict[Key, str]:
    """Return the JSON of each row of DAYS."""
    return {(row[0], row[1]): day_text(row) for row in rows}


def day_text(row: Sequence[Any]) -> str:
    """Return the JSON of a row of DAYS, with a close or null for each of the hours."""
    *columns, hours, closes = row
    by_hour = dict(zip(hours or (), closes or (), strict=True))
    day = dict(
        zip(Day.model_fields, [*columns, [by_hour.get(each) for each in range(HOURS)]], strict=True)
    )
    return orjson.dumps(day).decode()
