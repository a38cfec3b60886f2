"""Return the last 24 hours of every symbol, as hourly candles.

    {"time":"2025-03-28T07:37:28.501233Z","from":"2025-03-27T07:00:00.000000Z",
     "to":"2025-03-28T07:00:00.000000Z","days":[every symbol that matches]}

The candles are those of /api/candles with interval=1h: ours where the feed was complete, otherwise the
exchange's. Postgres writes the amounts as text, and each symbol's JSON is built once for all answers.
"""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal, localcontext
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
from server.state.prices import instant, plain
from server.state.selection import Selection

HOUR = timedelta(hours=1)
HOURS = 24
"""Number of hours in a day of /api/last-day, which ends with the last full hour."""

EXACT = Context(prec=60)
"""Amounts have up to 38 digits."""

# A requested span ends when it was received, if that is earlier: a later candle was still running.
HOURS_OF_EACH = """
SELECT live.exchange, live.symbol, candles.of_hours, (
    SELECT json_agg(extract(epoch FROM hour.start)::bigint)
    FROM generate_series(%(since)s, %(until)s - %(hour)s, %(hour)s) AS hour (start)
    WHERE requested.spans @> tstzrange(hour.start, hour.start + %(hour)s)
)::text
FROM unnest(%(exchanges)s, %(holes)s::tstzmultirange[]) AS feed (exchange, holes)
JOIN live_prices AS live USING (exchange)
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(
        extract(epoch FROM start)::bigint,
        trim_scale(open)::text, trim_scale(high)::text, trim_scale(low)::text, trim_scale(close)::text,
        trim_scale(base_volume)::text, trim_scale(quote_volume)::text
    ))::text
    FROM merged_candles(
        live.exchange, live.symbol, %(hour)s, %(since)s, %(until)s, feed.holes, true
    )
) AS candles (of_hours)
CROSS JOIN LATERAL (
    SELECT range_agg(tstzrange(start, until)) FROM (
        SELECT start, least(until, received_at) AS until FROM exchange_candle_spans AS span
        WHERE span.exchange = live.exchange AND span.symbol = live.symbol AND reason IS NULL
            AND start < %(until)s AND until > %(since)s
    ) AS span
    WHERE start < until
) AS requested (spans)
"""


class HourCandle(NamedTuple):
    """Amounts as Postgres writes them. The volumes are None unless the exchange's alone."""

    open: str
    high: str
    low: str
    close: str
    base_volume: str | None
    quote_volume: str | None


class Hours(NamedTuple):
    """What is known of one symbol's hours, by the start of each in seconds since the epoch."""

    candles: Mapping[int, HourCandle]
    requested: frozenset[int]
    """Hours that the exchange was asked for after they had ended."""


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
        Field(description="null unless the exchange was asked for its candles of all 24 hours"),
    ]
    quote_volume: Annotated[Amount | None, Field(description="null as `base_volume`")]
    closes: Annotated[
        list[Amount | None],
        Field(
            min_length=HOURS,
            max_length=HOURS,
            description="Of each hour, oldest first; null if the hour has no candle",
        ),
    ]


class LastDay(BaseModel):
    time: Annotated[Instant, Field(description="When this was computed")]
    start: Annotated[Instant, Field(alias="from", description="Start of the first of the 24 hours")]
    end: Annotated[
        Instant, Field(alias="to", description="End of the last one: the last full hour")
    ]
    days: Annotated[list[Day], Field(description="Every symbol with a price that matches")]


class Computed(NamedTuple):
    """The last day of all symbols; each symbol's JSON by exchange and symbol."""

    time: datetime
    span: Span
    days: Mapping[Key, str]


def answer_with_last_day(
    computed: Computed, prices: PriceTable, selection: Selection, if_none_match: str | None
) -> Response:
    keys = ((price.exchange, price.symbol) for price in prices.where(selection))
    days = ",".join(computed.days[key] for key in keys if key in computed.days)
    time, start, end = (instant(each) for each in (computed.time, *computed.span))
    return answer_with_text(
        f'{{"time":"{time}","from":"{start}","to":"{end}","days":[{days}]}}', if_none_match
    )


async def compute_last_day(queries: QueryConnection, now: datetime) -> Computed:
    """Return the last day of every symbol. Raise HTTPException: 503 without Postgres."""
    span = last_day(now)
    rows = await queries.rows(
        HOURS_OF_EACH,
        {
            "exchanges": [*EXCHANGE],
            "holes": [await holes_of(queries, each, span, None, now) for each in EXCHANGE],
            "since": span.start,
            "until": span.end,
            "hour": HOUR,
        },
    )
    # On another thread: it takes some 100 ms.
    return Computed(now, span, await asyncio.to_thread(days_of, rows, span))


def last_day(now: datetime) -> Span:
    """Return the 24 hours before the last full hour."""
    end = now.replace(minute=0, second=0, microsecond=0)
    return Span(end - HOURS * HOUR, end)


def days_of(rows: Iterable[tuple[Any, ...]], span: Span) -> dict[Key, str]:
    """Return the JSON of each row of HOURS_OF_EACH."""
    return {
        (exchange, symbol): orjson.dumps(
            {"exchange": exchange, "symbol": symbol, **day_of(hours_of(candles, requested), span)}
        ).decode()
        for exchange, symbol, candles, requested in rows
    }


def hours_of(candles: str | None, requested: str | None) -> Hours:
    """Return the hours of two JSON arrays of HOURS_OF_EACH; None for an empty one."""
    return Hours(
        {start: HourCandle(*amounts) for start, *amounts in orjson.loads(candles or "[]")},
        frozenset(orjson.loads(requested or "[]")),
    )


def day_of(hours: Hours, span: Span) -> dict[str, Any]:
    """Return the fields of Day that are computed from its hours."""
    starts = range(
        int(span.start.timestamp()), int(span.end.timestamp()), int(HOUR.total_seconds())
    )
    by_hour = [hours.candles.get(start) for start in starts]
    candles = [candle for candle in by_hour if candle is not None]
    is_requested = hours.requested.issuperset(starts)
    return {
        "open": by_hour[0] and by_hour[0].open,
        "high": max((candle.high for candle in candles), key=Decimal, default=None),
        "low": min((candle.low for candle in candles), key=Decimal, default=None),
        "base_volume": sum_of(candle.base_volume for candle in candles) if is_requested else None,
        "quote_volume": sum_of(candle.quote_volume for candle in candles) if is_requested else None,
        "closes": [candle and candle.close for candle in by_hour],
    }


def sum_of(volumes: Iterable[str | None]) -> str | None:
    """Return the sum, exact; None if a volume is unknown."""
    total = Decimal()
    with localcontext(EXACT):
        for volume in volumes:
            if volume is None:
                return None
            total += Decimal(volume)
    return plain(total)
