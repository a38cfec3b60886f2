"""Return the state of the pipeline in one answer: feeds, batches, dead letters and sizes of tables."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Exchange, Instant
from server.rest.feed_days import DAY
from server.rest.feeds import age_of, newest_of
from server.rest.filled import Interrupted, are_all_filled, filled_pairs, is_backfilled, pairs_of
from server.rest.query_connection import QueryConnection
from server.rest.recent_batches import BatchMinute, batch_minutes, ticks_per_second
from server.state.interruptions import RECENT, RECENT_OF_EACH, Interruption, interruptions_of
from server.state.price_table import PriceTable
from server.state.prices import Price
from server.state.provenance import is_simulated

DEAD_LETTERS_SHOWN = 20
"""Maximum number of causes in an answer."""

DEAD_LETTERS = """
SELECT topic, cause, sum(letters)::bigint, max(written_at) FROM dead_letter_spans
WHERE written_at > %(since)s
GROUP BY topic, cause
ORDER BY 3 DESC, topic, cause
LIMIT %(limit)s
"""

# Without the tables of yoyo, which applies the migrations.
TABLES = """
SELECT relname, coalesce(
    (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(oid)), pg_total_relation_size(oid)
)::bigint AS bytes
FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace
    AND relname !~ '^_?yoyo_'
ORDER BY bytes DESC, relname
"""


class RecentInterruption(BaseModel):
    start: Annotated[Instant, Field(alias="from")]
    end: Annotated[Instant | None, Field(alias="to", description="null until it ends")]
    reason: str | None
    filled: Annotated[
        bool | None,
        Field(
            description="Whether the exchange was asked for the candles of all pairs that trade; null"
            " until it ends"
        ),
    ]


class ExchangeStatus(BaseModel):
    exchange: Exchange
    title: Annotated[str, Field(description="Display name", examples=["KuCoin"])]
    simulated: Annotated[bool | None, Field(description="null until there is a price")]
    age_seconds: Annotated[float | None, Field(description="Since the newest price arrived")]
    ticks_per_second: Annotated[
        float | None,
        Field(
            description="Mean of the tickers read in the last full minute; null if it has no batch"
        ),
    ]
    interruptions: Annotated[
        list[RecentInterruption],
        Field(description=f"Of the last 24 hours, newest first, up to {RECENT_OF_EACH}"),
    ]
    pairs: Annotated[
        int, Field(description="Number of pairs that trade, as the exchange lists them")
    ]
    filled_pairs: Annotated[
        int,
        Field(
            description="Number of pairs filled in the least filled of these interruptions. Only those count"
            " for which the extractor requests candles: the one at its start, and any of a minute or more"
        ),
    ]


class DeadLetterCause(BaseModel):
    topic: str
    cause: str
    letters: Annotated[int, Field(description="Number of dead letters")]
    last_written_at: Instant


class Table(BaseModel):
    table: str
    bytes: Annotated[int, Field(description="With its indexes and partitions")]


class Status(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "time": "2025-03-28T07:37:28.501233Z",
                    "exchanges": [
                        {
                            "exchange": "kucoin",
                            "title": "KuCoin",
                            "simulated": False,
                            "age_seconds": 0.312,
                            "ticks_per_second": 412.5,
                            "interruptions": [
                                {
                                    "from": "2025-03-28T06:02:11.120045Z",
                                    "to": "2025-03-28T06:04:03.000120Z",
                                    "reason": "silence",
                                    "filled": True,
                                }
                            ],
                            "pairs": 1311,
                            "filled_pairs": 1311,
                        }
                    ],
                    "minutes": [
                        {
                            "minute": "2025-03-28T07:36:00.000000Z",
                            "batches": 243,
                            "rows": 61240,
                            "dead_letters": 0,
                            "p50_ms": 118.4,
                            "p95_ms": 240.9,
                        }
                    ],
                    "dead_letters": [
                        {
                            "topic": "kucoin_raw_data",
                            "cause": "sequence is missing",
                            "letters": 3,
                            "last_written_at": "2025-03-28T05:11:09.204411Z",
                        }
                    ],
                    "tables": [{"table": "candles_1m", "bytes": 1073741824}],
                }
            ]
        }
    )

    time: Annotated[Instant, Field(description="When this was read")]
    exchanges: Annotated[list[ExchangeStatus], Field(description="In the order of /api/feeds")]
    minutes: Annotated[
        list[BatchMinute],
        Field(
            description="The last 60 full minutes, oldest first, without those that have no batch"
        ),
    ]
    dead_letters: Annotated[
        list[DeadLetterCause],
        Field(
            description=f"Of the last 24 hours, most letters first, up to {DEAD_LETTERS_SHOWN} causes"
        ),
    ]
    tables: Annotated[list[Table], Field(description="Largest first")]


async def status(queries: QueryConnection, prices: PriceTable) -> Status:
    """Return the state. Raise HTTPException: 503 without Postgres."""
    now = datetime.now(UTC)
    since = now - DAY
    recent = interruptions_of(
        await queries.rows(RECENT, {"exchanges": [*EXCHANGE], "limit": RECENT_OF_EACH})
    )
    interruptions = [each for each in recent if each.end is None or each.end > since]
    pairs = await pairs_of(queries)
    filled = await filled_pairs(queries, ended(interruptions))
    ticks = await ticks_per_second(queries, [*EXCHANGE])
    dead_letters = await queries.rows(DEAD_LETTERS, {"since": since, "limit": DEAD_LETTERS_SHOWN})
    return Status(
        time=now,
        exchanges=[
            exchange_status(
                each,
                newest_of(prices.of(each)),
                ticks.get(each),
                [interruption for interruption in interruptions if interruption.exchange == each],
                pairs.get(each, 0),
                filled,
                # Not `now`: prices may have arrived while Postgres was queried.
                datetime.now(UTC),
            )
            for each in EXCHANGE
        ],
        minutes=await batch_minutes(queries, now),
        dead_letters=[
            DeadLetterCause(topic=topic, cause=cause, letters=letters, last_written_at=written_at)
            for topic, cause, letters, written_at in dead_letters
        ],
        tables=[Table(table=table, bytes=size) for table, size in await queries.rows(TABLES, {})],
    )


def ended(interruptions: Sequence[Interruption]) -> list[Interrupted]:
    return [
        Interrupted(each.exchange, each.start, each.end)
        for each in interruptions
        if each.end is not None
    ]


def exchange_status(
    exchange: Exchange,
    newest: Price | None,
    ticks: float | None,
    interruptions: Sequence[Interruption],
    pairs: int,
    filled: Mapping[tuple[str, datetime], int],
    now: datetime,
) -> ExchangeStatus:
    """Return the status of an exchange. `interruptions` are its own, oldest first."""
    counts = {each.start: filled.get((exchange, each.start), 0) for each in interruptions}
    backfilled = [
        counts[each.start]
        for each in interruptions
        if each.end is not None and is_backfilled(each.end - each.start, each.reason)
    ]
    return ExchangeStatus(
        exchange=exchange,
        title=EXCHANGE[exchange].title,
        simulated=newest and is_simulated(newest.endpoint),
        age_seconds=newest and age_of(newest, now),
        ticks_per_second=ticks,
        interruptions=[
            RecentInterruption.model_validate(
                {
                    "from": each.start,
                    "to": each.end,
                    "reason": each.reason,
                    "filled": None
                    if each.end is None
                    else are_all_filled(counts[each.start], pairs),
                }
            )
            for each in reversed(interruptions)
        ],
        pairs=pairs,
        filled_pairs=min(backfilled, default=pairs),
    )
