"""Share of each exchange's items that the live job could not read in the last minute, and the cause.

The column `reading` of `batches` has counts by exchange:

    {"kucoin": {"tickers": 1240, "dead_letters": {"sequence is missing": 3},
                "unread": {"price is absent": {"count": 4, …}, "bid is empty": {"count": 12, …}}}}

An item is a ticker, a dead letter or a ticker without a price. The last two are unreadable. A ticker
that lacks another field counts as read.
"""

from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import Annotated

from psycopg2.extensions import cursor
from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE

MOST = 0.5
"""Share of unreadable items above which an exchange's prices are not reliable."""

# A minute has some 250 batches, and ids grow with committed_at. So the query reads only the end of the
# primary key, whatever the table's size and the planner's statistics. The cause of a ticker is NULL.
LAST_MINUTE = """
SELECT exchange, cause, sum(items)::bigint
FROM (
    SELECT reading, committed_at FROM batches ORDER BY id DESC LIMIT 1000
) AS newest, jsonb_each(reading) AS became (exchange, items_by_kind), LATERAL (
    SELECT NULL, (items_by_kind->>'tickers')::bigint
    UNION ALL
    SELECT key, value::bigint FROM jsonb_each_text(items_by_kind->'dead_letters')
    UNION ALL
    SELECT key, (value->>'count')::bigint FROM jsonb_each(items_by_kind->'unread')
    WHERE key LIKE 'price %'
) AS counted (cause, items)
WHERE committed_at > now() - interval '1 minute'
GROUP BY exchange, cause
"""


class Unreadable(BaseModel):
    """Share of an exchange's items of the last minute that could not be read."""

    model_config = ConfigDict(frozen=True)

    share: Annotated[float, Field(description="From 0 to 1, rounded up to thousandths")]
    cause: Annotated[
        str | None, Field(description="The most frequent cause; null if all could be read")
    ]

    @property
    def is_mostly_unreadable(self) -> bool:
        return self.share > MOST


def unreadable_of(statements: cursor) -> dict[str, Unreadable]:
    """Return the share of each exchange that sent anything in the last minute, by Postgres' clock."""
    statements.execute(LAST_MINUTE)
    tickers: Counter[str] = Counter()
    causes: dict[str, Counter[str]] = {}
    for exchange, cause, items in statements:
        # The jobs may be of a later version that has more exchanges.
        if exchange not in EXCHANGE:
            continue
        found = causes.setdefault(exchange, Counter())
        if cause is None:
            tickers[exchange] += items
        else:
            found[cause] += items
    return {
        exchange: share_of(tickers[exchange], found)
        for exchange, found in causes.items()
        if tickers[exchange] + found.total()
    }


def share_of(tickers: int, causes: Mapping[str, int]) -> Unreadable:
    """Return share and most frequent cause (the first by name if tied). The counts must not all be 0."""
    unreadable = sum(causes.values())
    cause = min(causes, key=lambda each: (-causes[each], each), default=None)
    # Round up: just over half must be more than half.
    share = ceil(1000 * unreadable / (tickers + unreadable)) / 1000
    return Unreadable(share=share, cause=cause)


def mostly_unreadable(exchanges: Mapping[str, Unreadable]) -> dict[str, Unreadable]:
    return {
        exchange: found
        for exchange, found in sorted(exchanges.items())
        if found.is_mostly_unreadable
    }
