"""Return candles of one symbol: minutes as the live job wrote them, and larger ones from whole minutes.

Candles are built from ticker updates, not from trades. A minute without updates has no candle. They have
no volume: the exchanges' tickers have volumes of the last 24 hours, which rise and fall.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from server.fields import Amount, Exchange, Instant
from server.rest.query_connection import QueryConnection
from server.times import Time, end_after_start

MINUTE = timedelta(minutes=1)
UNITS = {"m": MINUTE, "h": 60 * MINUTE, "d": timedelta(days=1), "w": timedelta(weeks=1)}

ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
"""Start of a candle of every width, as in the SQL function `candles`. It is a Monday."""


def width_of(interval: str) -> timedelta:
    """Return the width of an interval such as 15m, 4h, 1d or 1w."""
    return int(interval[:-1]) * UNITS[interval[-1]]


def check_width(interval: str) -> str:
    width = width_of(interval)
    if width != UNITS["w"] and UNITS["d"] % width:
        raise ValueError("expected an interval that divides a day, or 1w")
    return interval


Interval = Annotated[
    str,
    Field(
        pattern=r"^[1-9][0-9]{0,3}[mhdw]$",
        description="Minutes, hours or days that divide a day, such as 1m, 30m, 4h and 1d; or 1w, from"
        " Monday to Sunday",
        examples=["1m", "30m", "1w"],
    ),
    AfterValidator(check_width),
]

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

# Either may be missing: the exchange's list may not have arrived yet, or no price.
IS_KNOWN = """
SELECT EXISTS (SELECT FROM instruments WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
    OR EXISTS (SELECT FROM live_prices WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
"""


class CandleSpan(BaseModel):
    """Candles that start at `from` or later and before `to`, oldest first."""

    model_config = ConfigDict(extra="forbid")

    interval: Interval = "1m"
    start: Annotated[
        Time | None,
        Field(alias="from", description="ISO 8601 (default: `limit` intervals before `to`)"),
    ] = None
    end: Annotated[Time | None, Field(alias="to", description="ISO 8601 (default: now)")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 500

    _end = field_validator("end")(end_after_start)


class Candle(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start": "2025-03-28T07:37:00.000000Z",
                    "open": "85439.99",
                    "high": "85450.01",
                    "low": "85430",
                    "close": "85440.1",
                    "updates": 118,
                    "closed": True,
                }
            ]
        }
    )

    start: Instant
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    updates: Annotated[int, Field(description="Number of ticker updates in the candle")]
    closed: Annotated[
        bool,
        Field(
            description="A price of the exchange was received after the candle's end. Until then, the"
            " candle is running, or its last updates have not been read"
        ),
    ]


class Candles(BaseModel):
    exchange: Exchange
    symbol: str
    interval: Interval
    candles: list[Candle]
    next: Annotated[
        Instant | None,
        Field(description="`from` of the next page; null if the span has no more candles"),
    ]


async def candles(
    queries: QueryConnection,
    exchange: Exchange,
    symbol: str,
    span: CandleSpan,
    received_until: datetime | None,
) -> Candles:
    """Return the candles of a span. Raise HTTPException: 404 for an unknown symbol.

    `received_until` is when the newest price of the exchange was received; None if there is none.
    """
    since, until = bounds(span, datetime.now(UTC))
    width = width_of(span.interval)
    parameters = {
        "exchange": exchange,
        "symbol": symbol,
        "width": width,
        "since": since,
        "until": until,
        # One more row than the page has shows whether there is another page.
        "limit": span.limit + 1,
    }
    rows = await queries.rows(MINUTES if width == MINUTE else LARGER, parameters)
    if not rows and await queries.rows(IS_KNOWN, parameters) == [(False,)]:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"symbol={symbol!r}: unknown on {exchange}")
    page, more = rows[: span.limit], rows[span.limit :]
    return Candles(
        exchange=exchange,
        symbol=symbol,
        interval=span.interval,
        candles=[candle(row, width, received_until) for row in page],
        next=more[0][0] if more else None,
    )


def candle(row: Sequence[Any], width: timedelta, received_until: datetime | None) -> Candle:
    """Return the candle of a row of MINUTES or LARGER."""
    start, open, high, low, close, updates = row
    return Candle(
        start=start,
        open=open,
        high=high,
        low=low,
        close=close,
        updates=updates,
        closed=received_until is not None and received_until >= start + width,
    )


def bounds(span: CandleSpan, now: datetime) -> tuple[datetime, datetime]:
    """Return start and end of a span, rounded up to whole candles."""
    width = width_of(span.interval)
    until = round_up(span.end or now, width)
    since = round_up(span.start, width) if span.start else until - span.limit * width
    return since, until


def round_up(time: datetime, width: timedelta) -> datetime:
    """Return the start of the first candle that starts at `time` or later."""
    return time + (ORIGIN - time) % width
