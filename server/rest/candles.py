"""Candles of one symbol: minutes as the live job wrote them, and larger ones made of whole minutes.

They are made of ticker updates and not of trades. A minute without updates has no candle.
"""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)
from starlette.exceptions import HTTPException

from server.fields import Amount, Exchange, Instant
from server.rest.query_connection import QueryConnection

Interval = Literal["1m", "5m", "15m", "1h", "4h", "1d"]

MINUTE = timedelta(minutes=1)
WIDTHS: dict[Interval, timedelta] = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
"""A midnight that all candles are counted from, as in the SQL function; none is older."""
LAST = datetime(2100, 1, 1, tzinfo=UTC)

MINUTES = """
SELECT minute, open, high, low, close, updates FROM candles_1m
WHERE exchange = %(exchange)s AND symbol = %(symbol)s
    AND minute >= %(since)s AND minute < %(until)s
ORDER BY minute LIMIT %(limit)s
"""

LARGER = """
SELECT start, open, high, low, close, updates
FROM candles(%(exchange)s, %(symbol)s, %(width)s, %(since)s, %(until)s)
ORDER BY start LIMIT %(limit)s
"""

# The exchange's list may not have come yet, or no price.
IS_KNOWN = """
SELECT EXISTS (SELECT FROM instruments WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
    OR EXISTS (SELECT FROM live_prices WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
"""


def parse_time(text: str) -> datetime:
    """2025-03-28T07:37:28Z; without a zone UTC. Raises ValueError for what is not ISO 8601."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("expected ISO 8601, as in 2025-03-28T07:37:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def within_reach(time: datetime) -> datetime:
    if not FIRST <= time <= LAST:
        raise ValueError(f"expected a time from {FIRST:%Y-%m-%d} to {LAST:%Y-%m-%d}")
    # Postgres does not know zones that are 16 hours or more away.
    return time.astimezone(UTC)


Time = Annotated[datetime, BeforeValidator(parse_time), AfterValidator(within_reach)]


class CandleSpan(BaseModel):
    """Which candles: those that start at `from` or later, and before `to`; the oldest first."""

    model_config = ConfigDict(extra="forbid")

    interval: Interval = "1m"
    start: Annotated[
        Time | None,
        Field(alias="from", description="ISO 8601; by default `limit` intervals before `to`"),
    ] = None
    end: Annotated[Time | None, Field(alias="to", description="ISO 8601; by default now")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 500

    @field_validator("end")
    @classmethod
    def end_comes_later(cls, end: datetime | None, others: ValidationInfo) -> datetime | None:
        start = others.data.get("start")
        if start is not None and end is not None and end <= start:
            raise ValueError("expected a time after `from`")
        return end


class Candle(BaseModel):
    start: Instant
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    updates: Annotated[int, Field(description="Ticker updates that it was made of")]


class Candles(BaseModel):
    exchange: Exchange
    symbol: str
    interval: Interval
    candles: list[Candle]


async def candles(
    queries: QueryConnection, exchange: Exchange, symbol: str, span: CandleSpan
) -> Candles:
    """Raises HTTPException: 404 for a symbol that nothing is known of."""
    since, until = bounds(span, datetime.now(UTC))
    width = WIDTHS[span.interval]
    asked = {
        "exchange": exchange,
        "symbol": symbol,
        "width": width,
        "since": since,
        "until": until,
        "limit": span.limit,
    }
    rows = await queries.rows(MINUTES if width == MINUTE else LARGER, asked)
    if not rows and await queries.rows(IS_KNOWN, asked) == [(False,)]:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"symbol={symbol!r}: {exchange} has none such")
    names = Candle.model_fields
    return Candles(
        exchange=exchange,
        symbol=symbol,
        interval=span.interval,
        candles=[Candle(**dict(zip(names, row, strict=True))) for row in rows],
    )


def bounds(span: CandleSpan, now: datetime) -> tuple[datetime, datetime]:
    """From the first minute to the end of the last one. No candle is cut: all are whole."""
    width = WIDTHS[span.interval]
    until = first_start(span.end or now, width)
    since = first_start(span.start, width) if span.start else until - span.limit * width
    return since, until


def first_start(time: datetime, width: timedelta) -> datetime:
    """Where the first candle starts that does not start before `time`."""
    return time + (FIRST - time) % width
