"""Interruptions of the feeds: spans in which tickers of an exchange may be missing.

The extractor reports an interruption when it begins, and again when it ends. An extractor that is killed
cannot report the end: its interruption ends where the next one begins.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Annotated, Any

from psycopg2.extensions import cursor
from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Exchange, Instant

RECENT_OF_EACH = 20
"""Number of interruptions of each exchange that are read: more than can begin and end between two reads."""

# An event dated ahead comes from an extractor whose clock was ahead. It would hide a real ongoing one.
RECENT = """
SELECT event.exchange, "from", "to", reason
FROM unnest(%(exchanges)s) AS feed (name), LATERAL (
    SELECT * FROM feed_events
    WHERE exchange = feed.name AND kind = 'interruption' AND "from" <= now()
    ORDER BY "from" DESC LIMIT %(limit)s
) AS event
ORDER BY exchange, "from"
"""


class Interruption(BaseModel):
    """Span between the last ticker of an exchange and the next one."""

    model_config = ConfigDict(frozen=True, validate_by_name=True)

    exchange: Exchange
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant | None, Field(alias="to", description="null until it ends")]
    reason: str | None


def recent_interruptions(statements: cursor) -> list[Interruption]:
    """Return the newest interruptions of each exchange, sorted by exchange and start."""
    statements.execute(RECENT, {"exchanges": list(EXCHANGE), "limit": RECENT_OF_EACH})
    return interruptions_of(statements)


def interruptions_of(rows: Iterable[tuple[Any, ...]]) -> list[Interruption]:
    """Return the interruptions of rows of RECENT."""
    return with_ends(
        Interruption(exchange=exchange, start=start, end=end, reason=reason)
        for exchange, start, end, reason in rows
    )


def with_ends(interruptions: Iterable[Interruption]) -> list[Interruption]:
    """Return the interruptions. An older one without an end ends where the next one begins.

    Argument and result are in the order of RECENT.
    """
    ended = []
    for _, of_exchange in groupby(interruptions, attrgetter("exchange")):
        each = list(of_exchange)
        for older, newer in pairwise(each):
            ended.append(older.model_copy(update={"end": older.end or newer.start}))
        ended.append(each[-1])
    return ended


def changed(before: Sequence[Interruption], now: Sequence[Interruption]) -> list[Interruption]:
    """Return those that began, ended or got another reason between two reads."""
    known = {(each.exchange, each.start): each for each in before}
    newest = {each.exchange: each.start for each in before}
    return [
        each
        for each in now
        if (
            known[each.exchange, each.start] != each
            if (each.exchange, each.start) in known
            # An older one appears when a newer one was deleted.
            else each.exchange not in newest or each.start > newest[each.exchange]
        )
    ]


def ongoing(interruptions: Iterable[Interruption]) -> list[Interruption]:
    return [each for each in interruptions if each.end is None]
