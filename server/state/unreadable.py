"""How much of what an exchange sends the live job could not read in the last minute, and why.

Each row of `batches` has counts in `reading`, by exchange:

    {"kucoin": {"tickers": 1240, "dead_letters": {"sequence is missing": 3},
                "unread": {"price is absent": {"count": 4, …}, "bid is empty": {"count": 12, …}}}}

An item is a ticker, a dead letter or a ticker without a price. The last two can't be read. A ticker that
lacks another field counts as read.
"""

from collections import Counter
from collections.abc import Mapping
from math import ceil
from typing import Annotated

from psycopg2.extensions import cursor
from pydantic import BaseModel, ConfigDict, Field

MOST = 0.5
"""If a larger share of an exchange's items can't be read, its prices are not to be relied on."""

# A minute has some 250 batches, and ids grow with committed_at. So only the end of the primary key is read,
# however many batches there are and whatever the planner believes of them. A ticker has no cause.
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
    """Of the items that an exchange sent in the last minute, those that could not be read."""

    model_config = ConfigDict(frozen=True)

    share: Annotated[float, Field(description="From 0 to 1, in thousandths")]
    cause: Annotated[
        str | None, Field(description="The most frequent cause; null when all could be read")
    ]

    @property
    def is_most(self) -> bool:
        return self.share > MOST


def unreadable_of(statements: cursor) -> dict[str, Unreadable]:
    """Return the share of each exchange that sent anything in the last minute, by Postgres' clock."""
    statements.execute(LAST_MINUTE)
    tickers: Counter[str] = Counter()
    causes: dict[str, Counter[str]] = {}
    for exchange, cause, items in statements:
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
    """Of the counts of an exchange's items, which are not all 0. Equal causes are in alphabetical order."""
    dead = sum(causes.values())
    cause = min(causes, key=lambda each: (-causes[each], each), default=None)
    # Rounded up: just over half is shown as more than half.
    share = ceil(1000 * dead / (tickers + dead)) / 1000
    return Unreadable(share=share, cause=cause)


def mostly_unreadable(exchanges: Mapping[str, Unreadable]) -> dict[str, Unreadable]:
    return {exchange: found for exchange, found in sorted(exchanges.items()) if found.is_most}
