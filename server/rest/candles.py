"""Return candles of one symbol: ours where the feed was complete, otherwise the exchange's.

Ours are built from ticker updates: a minute without updates has no candle. Ours have no volume, because
tickers have at most volumes of the last 24 hours. The exchange's are built from trades. Larger candles
are built from both, and nothing counts twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from server.fields import Amount, Exchange, Instant
from server.rest.feed_times import MINUTE, Span, feed_times
from server.rest.query_connection import QueryConnection
from server.times import Time, end_after_start

UNITS = {"m": MINUTE, "h": 60 * MINUTE, "d": timedelta(days=1), "w": timedelta(weeks=1)}

ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)
"""A Monday, at which candles of every width start, as in the SQL functions `candles` and `merged_candles`."""


def width_of(interval: str) -> timedelta:
    """Return the width of an interval such as 15m, 4h, 1d or 1w."""
    return int(interval[:-1]) * UNITS[interval[-1]]


def check_width(interval: str) -> str:
    if interval != "1w" and UNITS["d"] % width_of(interval):
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

CANDLES = """
SELECT * FROM merged_candles(
    %(exchange)s, %(symbol)s, %(width)s, %(since)s, %(until)s, %(holes)s::tstzmultirange, %(with_own)s
)
ORDER BY start LIMIT %(limit)s
"""

ALL_TIME = "{(,)}"
"""Value of `holes` that replaces all our candles."""
NO_TIME = "{}"
"""Value of `holes` that replaces none of our candles."""

# Either row may be missing: the exchange's list, or the first price, may not have arrived yet.
IS_KNOWN = """
SELECT EXISTS (SELECT FROM instruments WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
    OR EXISTS (SELECT FROM live_prices WHERE exchange = %(exchange)s AND symbol = %(symbol)s)
"""


Source = Annotated[
    Literal["updates", "exchange"] | None,
    Field(
        description="`updates`: only candles built from ticker updates. `exchange`: only the exchange's own,"
        " built from trades. Default: built from updates, or the exchange's where updates may be missing"
    ),
]


class CandleQuery(BaseModel):
    """Candles that start at `from` or later and before `to`, oldest first."""

    model_config = ConfigDict(extra="forbid")

    interval: Interval = "1m"
    start: Annotated[
        Time | None,
        Field(alias="from", description="ISO 8601 (default: `limit` intervals before `to`)"),
    ] = None
    end: Annotated[Time | None, Field(alias="to", description="ISO 8601 (default: now)")] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 500
    source: Source = None

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
                    "source": "updates",
                    "base_volume": None,
                    "quote_volume": None,
                    "trades": None,
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
    source: Annotated[
        Literal["updates", "exchange", "both"],
        Field(
            description="`updates`: built from ticker updates; `exchange`: from the exchange's own"
            " candles; `both`: from some of each"
        ),
    ]
    base_volume: Annotated[Amount | None, Field(description="null unless `source` is `exchange`")]
    quote_volume: Annotated[Amount | None, Field(description="null unless `source` is `exchange`")]
    trades: Annotated[
        int | None,
        Field(description="null unless `source` is `exchange` and the exchange reports the number"),
    ]
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


class Series(NamedTuple):
    """Candles of one symbol and width. `holes` are as holes_of returns them."""

    exchange: Exchange
    symbol: str
    width: timedelta
    holes: str
    source: str | None

    def values(self, span: Span, limit: int | None) -> dict[str, Any]:
        """Return the parameters of CANDLES."""
        return {
            "exchange": self.exchange,
            "symbol": self.symbol,
            "width": self.width,
            "since": span.start,
            "until": span.end,
            "holes": self.holes,
            "with_own": self.source != "exchange",
            "limit": limit,
        }


async def candles(
    queries: QueryConnection,
    exchange: Exchange,
    symbol: str,
    asked: CandleQuery,
    received_until: datetime | None,
) -> Candles:
    """Return the candles of a span. Raise HTTPException: 404 for an unknown symbol, 503 without Postgres.

    `received_until` is when the newest price of the exchange was received; None if there is none.
    """
    now = datetime.now(UTC)
    width = width_of(asked.interval)
    span = bounds(asked, now)
    holes = await holes_of(queries, exchange, span, asked.source, now)
    series = Series(exchange, symbol, width, holes, asked.source)
    # One more row than the page has shows whether there is another page.
    rows = await first_rows(queries, series, span, asked.limit + 1)
    if not rows:
        await require_known(queries, exchange, symbol)
    page, more = rows[: asked.limit], rows[asked.limit :]
    return Candles(
        exchange=exchange,
        symbol=symbol,
        interval=asked.interval,
        candles=[candle(row, width, received_until) for row in page],
        next=more[0][0] if more else None,
    )


async def first_rows(
    queries: QueryConnection, series: Series, span: Span, count: int
) -> list[tuple[Any, ...]]:
    """Return up to `count` rows of CANDLES.

    Read the span in parts, each four times as long as the one before, until there are enough rows.
    """
    rows: list[tuple[Any, ...]] = []
    start, length = span.start, count * series.width
    while start < span.end and len(rows) < count:
        end = min(span.end, start + length)
        rows += await queries.rows(CANDLES, series.values(Span(start, end), count - len(rows)))
        start, length = end, 4 * length
    return rows


async def require_known(queries: QueryConnection, exchange: Exchange, symbol: str) -> None:
    """Raise HTTPException: 404 if nothing is known of the symbol, 503 without Postgres."""
    if await queries.rows(IS_KNOWN, {"exchange": exchange, "symbol": symbol}) == [(False,)]:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"symbol={symbol!r}: unknown on {exchange}")


async def holes_of(
    queries: QueryConnection, exchange: Exchange, span: Span, source: str | None, now: datetime
) -> str:
    """Return the spans for which the exchange's candles are used, as Postgres writes a multirange."""
    if source is not None:
        return ALL_TIME if source == "exchange" else NO_TIME
    times = await feed_times(queries, [exchange], span.start, now)
    holes = times[exchange].holes(span)
    return (
        "{" + ",".join(f"[{each.start.isoformat()},{each.end.isoformat()})" for each in holes) + "}"
    )


def candle(row: Sequence[Any], width: timedelta, received_until: datetime | None) -> Candle:
    """Return the candle of a row of CANDLES."""
    start, open, high, low, close, updates, own, theirs, base_volume, quote_volume, trades = row
    return Candle(
        start=start,
        open=open,
        high=high,
        low=low,
        close=close,
        updates=updates,
        source="updates" if not theirs else "both" if own else "exchange",
        base_volume=base_volume,
        quote_volume=quote_volume,
        trades=trades,
        closed=received_until is not None and received_until >= start + width,
    )


def bounds(asked: CandleQuery, now: datetime) -> Span:
    """Return the span that is asked for, rounded up to whole candles."""
    width = width_of(asked.interval)
    until = round_up(asked.end or now, width)
    return Span(round_up(asked.start, width) if asked.start else until - asked.limit * width, until)


def round_up(time: datetime, width: timedelta) -> datetime:
    """Return the start of the first candle that starts at `time` or later."""
    return time + (ORIGIN - time) % width
