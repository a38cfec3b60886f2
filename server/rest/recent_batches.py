"""Counts and times of the live job's batches in the last hour, by minute."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from server.fields import Instant
from server.rest.query_connection import QueryConnection

# An hour has some 15,000 batches, and ids grow with committed_at. So the queries read only the end of the
# primary key.
MINUTES = """
SELECT date_trunc('minute', committed_at), count(*), sum(rows_written), sum(dead_letters),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY committed_at - started_at),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY committed_at - started_at)
FROM (SELECT * FROM batches ORDER BY id DESC LIMIT 30000) AS newest
WHERE committed_at >= date_trunc('minute', %(now)s::timestamptz) - interval '60 minutes'
    AND committed_at < date_trunc('minute', %(now)s::timestamptz)
GROUP BY 1
ORDER BY 1
"""

# Each batch is joined with each exchange, so an exchange that sent nothing has 0. Without any batch there
# are no rows.
TICKERS = """
SELECT exchange, sum(coalesce((reading -> exchange ->> 'tickers')::bigint, 0))::bigint
FROM (SELECT reading, committed_at FROM batches ORDER BY id DESC LIMIT 1000) AS newest,
    unnest(%(exchanges)s) AS exchange
WHERE committed_at >= date_trunc('minute', now()) - interval '1 minute'
    AND committed_at < date_trunc('minute', now())
GROUP BY exchange
"""


class BatchMinute(BaseModel):
    minute: Instant
    batches: int
    rows: Annotated[int, Field(description="Prices that were written to Postgres")]
    dead_letters: int
    p50_ms: Annotated[
        float,
        Field(
            description="Median time of a batch's transaction, without Spark's reading and parsing before it"
        ),
    ]
    p95_ms: Annotated[float, Field(description="95th percentile of that time")]


async def batch_minutes(queries: QueryConnection, now: datetime) -> list[BatchMinute]:
    """Return those of the 60 full minutes before `now` that have a batch, oldest first."""
    return [
        BatchMinute(
            minute=minute,
            batches=batches,
            rows=rows,
            dead_letters=dead_letters,
            p50_ms=round(1000 * p50.total_seconds(), 1),
            p95_ms=round(1000 * p95.total_seconds(), 1),
        )
        for minute, batches, rows, dead_letters, p50, p95 in await queries.rows(
            MINUTES, {"now": now}
        )
    ]


async def ticks_per_second(queries: QueryConnection, exchanges: list[str]) -> dict[str, float]:
    """Return the mean rate of tickers in the last finished minute, by exchange; empty if it has no batch."""
    rows = await queries.rows(TICKERS, {"exchanges": exchanges})
    return {exchange: round(tickers / 60, 1) for exchange, tickers in rows}
