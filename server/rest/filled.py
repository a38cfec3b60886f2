"""Count the pairs that are filled for an interruption.

A pair is filled once its candles were requested for the whole interruption, whatever the exchange answered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from server.rest.query_connection import QueryConnection

PAIRS = """
SELECT exchange, count(*) FROM instruments WHERE status = 'TRADING' GROUP BY exchange
"""

# Hours are requested for their volumes too, so they alone fill nothing: the newest minutes must be there.
FILLED = """
SELECT asked.exchange, asked.since, count(*)
FROM unnest(%(exchanges)s, %(since)s::timestamptz[], %(until)s::timestamptz[])
    AS asked (exchange, since, until)
JOIN instruments AS listed ON listed.exchange = asked.exchange AND listed.status = 'TRADING'
WHERE (
    SELECT range_agg(tstzrange(span.start, span.until)) @> tstzrange(asked.since, asked.until)
        AND bool_or(span."interval" = '1m' AND span.until >= asked.until)
    FROM exchange_candle_spans AS span
    WHERE span.exchange = listed.exchange AND span.symbol = listed.symbol
        AND span.until > asked.since AND span.start < asked.until
)
GROUP BY 1, 2
"""

AT_START = "start"
"""Reason of the interruption before the first ticker. A refusal may follow: `start; refused: …`."""

SHORTEST = timedelta(minutes=1)
"""Shortest interruption that is filled, unless it is the one at the start."""


class Interrupted(NamedTuple):
    """An interruption that ended."""

    exchange: str
    start: datetime
    end: datetime


async def pairs_of(queries: QueryConnection) -> dict[str, int]:
    """Return the number of pairs that trade, by exchange."""
    return dict(await queries.rows(PAIRS, {}))


async def filled_pairs(
    queries: QueryConnection, interruptions: Sequence[Interrupted]
) -> Mapping[tuple[str, datetime], int]:
    """Return the number of filled pairs of each interruption, by exchange and start.

    An interruption without a filled pair is left out.
    """
    if not interruptions:
        return {}
    exchanges, since, until = (list(column) for column in zip(*interruptions, strict=True))
    found = await queries.rows(FILLED, {"exchanges": exchanges, "since": since, "until": until})
    return {(exchange, start): count for exchange, start, count in found}


def are_all_filled(filled: int, pairs: int) -> bool:
    return 0 < pairs <= filled


def is_backfilled(length: timedelta, reason: str | None) -> bool:
    """Return whether the extractor requests candles for an interruption that ended."""
    is_at_start = reason is not None and reason.split("; ", 1)[0] == AT_START
    return is_at_start or length >= SHORTEST
