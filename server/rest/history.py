"""Stream candles of one symbol over a long span, as CSV, Arrow or Parquet."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from server.fields import Exchange
from server.rest.candles import (
    CANDLES,
    Interval,
    Series,
    Source,
    candle,
    holes_of,
    require_known,
    round_up,
    width_of,
)
from server.rest.feed_times import Span
from server.rest.history_formats import FORMATS, Encoder
from server.rest.query_connection import QueryConnection
from server.times import Time, end_after_start

CANDLES_AT_ONCE = 2_000
"""Maximum number of candles of one query, and in memory."""

MAX_CANDLES = 1_000_000
"""Maximum number of candles that a span may have: almost two years of minutes."""


class HistorySpan(BaseModel):
    """Candles that start at `from` or later and before `to`, oldest first."""

    model_config = ConfigDict(extra="forbid")

    interval: Interval = "1m"
    start: Annotated[Time, Field(alias="from", description="ISO 8601")]
    end: Annotated[Time | None, Field(alias="to", description="ISO 8601 (default: now)")] = None
    format: Literal["csv", "arrow", "parquet"] = "csv"
    source: Source = None

    _end = field_validator("end")(end_after_start)


async def history(
    queries: QueryConnection,
    exchange: Exchange,
    symbol: str,
    asked: HistorySpan,
    received_until: datetime | None,
    *,
    is_head: bool,
) -> StreamingResponse:
    """Return the candles of a span in parts, or the first one alone if only the headers are sent.

    Raise HTTPException: 404 for an unknown symbol, 422 for a span of more than MAX_CANDLES, 503 without
    Postgres. If Postgres fails after the first part, the answer ends without its last part, so that the
    client notices.
    """
    now = datetime.now(UTC)
    width = width_of(asked.interval)
    span = Span(round_up(asked.start, width), round_up(asked.end or now, width))
    if (count := (span.end - span.start) // width) > MAX_CANDLES:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"from={asked.start.isoformat()}: {count} candles, expected up to {MAX_CANDLES}",
        )
    await require_known(queries, exchange, symbol)
    holes = await holes_of(queries, exchange, span, asked.source, now)
    series = Series(exchange, symbol, width, holes, asked.source)
    media_type, encoder = FORMATS[asked.format]
    parts = encoded(queries, series, span, encoder(), received_until)
    first = await anext(parts)
    # A symbol may have any character: quote it, as in the URL.
    name = f"{exchange}-{quote(symbol, safe='')}-{asked.interval}.{asked.format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    body = _first_alone(first) if is_head else _chained(first, parts)
    return StreamingResponse(body, media_type=media_type, headers=headers)


async def _first_alone(first: bytes) -> AsyncIterator[bytes]:
    yield first


async def _chained(first: bytes, later: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in later:
        yield part


async def encoded(
    queries: QueryConnection,
    series: Series,
    span: Span,
    encoder: Encoder,
    received_until: datetime | None,
) -> AsyncIterator[bytes]:
    """Yield the encoded candles. Read the next ones only after the client has taken the previous ones."""
    start = span.start
    while start < span.end:
        end = min(span.end, start + CANDLES_AT_ONCE * series.width)
        rows = await queries.rows(CANDLES, series.values(Span(start, end), None))
        yield encoder.part([candle(row, series.width, received_until) for row in rows])
        start = end
    yield encoder.end()
