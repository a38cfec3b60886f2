"""Write the topics `instruments` and `feed_events` to the tables of the same names.

Which message wins:
    instruments  the one with the highest offset, as the extractors assume: they publish an instrument only
                 if it changed, and their clocks may be set back. The topic has one partition, and the
                 progress discards messages that were read before. So each message replaces the stored
                 one, even if the topic is read again from its oldest record
    feed_events  one message wins as a whole: a completed one over an open one, then the later `to`,
                 then the higher offset, in whatever order they are read. `frames` is the maximum of all
                 messages
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor
from pyspark.sql import DataFrame

from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.schemas import SMALL_TOPICS
from spark_jobs.postgres.dead_letters import DeadLetter, add_dead_letters
from spark_jobs.postgres.postgres_sink import PostgresSink
from spark_jobs.postgres.transaction import Tables, Transactions, copy_into
from spark_jobs.run.sink import Counts
from spark_jobs.tickers.columns import as_frame
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE
from spark_jobs.tickers.letters.spans import THE_MESSAGE, Span
from spark_jobs.tickers.reading import cause_of

UPSERT_INSTRUMENTS = """
INSERT INTO instruments (exchange, symbol, base, quote, status, seen_at)
SELECT DISTINCT ON (exchange, symbol) exchange, symbol, base, quote, status, seen_at
FROM incoming_instruments
ORDER BY exchange, symbol, "offset" DESC
ON CONFLICT (exchange, symbol) DO UPDATE
SET (base, quote, status, seen_at)
    = (EXCLUDED.base, EXCLUDED.quote, EXCLUDED.status, EXCLUDED.seen_at)
"""

# Stored events are sorted together with the incoming ones, so that the order is defined once.
UPSERT_FEED_EVENTS = """
INSERT INTO feed_events (exchange, endpoint, kind, reason, "from", "to", frames)
SELECT DISTINCT ON (exchange, kind, "from")
    exchange, endpoint, kind, reason, "from", "to",
    max(frames) OVER (PARTITION BY exchange, kind, "from")
FROM (
    SELECT * FROM incoming_feed_events
    UNION ALL
    SELECT exchange, endpoint, kind, reason, "from", "to", frames, -1 FROM feed_events
    WHERE (exchange, kind, "from") IN (SELECT exchange, kind, "from" FROM incoming_feed_events)
) AS messages
ORDER BY exchange, kind, "from", "to" DESC NULLS LAST, "offset" DESC
ON CONFLICT (exchange, kind, "from") DO UPDATE
SET (endpoint, reason, "to", frames)
    = (EXCLUDED.endpoint, EXCLUDED.reason, EXCLUDED."to", EXCLUDED.frames)
"""

UPSERTS = {"instruments": UPSERT_INSTRUMENTS, "feed_events": UPSERT_FEED_EVENTS}


TABLES = Tables(
    topics=tuple(SMALL_TOPICS),
    lock=7_305_808_869_232,
    create_incoming="""
        CREATE TEMPORARY TABLE incoming_instruments ON COMMIT DELETE ROWS AS
        SELECT exchange, symbol, base, quote, status, seen_at, 0::bigint AS "offset"
        FROM instruments WITH NO DATA;
        CREATE TEMPORARY TABLE incoming_feed_events ON COMMIT DELETE ROWS AS
        SELECT exchange, endpoint, kind, reason, "from", "to", frames, 0::bigint AS "offset"
        FROM feed_events WITH NO DATA
    """,
)


class SmallTopicsSink(PostgresSink):
    """Sink for batches of parse_small_topics. Messages are few, so each remains a row of its batch."""

    query = "small_topics"
    topics = TABLES.topics

    def __init__(self, database_url: str) -> None:
        """Connect. Raise the same errors as Transactions."""
        super().__init__(Transactions(database_url, "SmallTopicsSink", TABLES))

    def _write_batch(self, batch: DataFrame) -> Counts:
        return self.postgres.write(batch.toArrow(), write_rows, self._stopping)


def write_rows(statements: cursor, rows: pa.Table, reached: Offsets) -> Counts:
    """Upsert instruments and events. Messages that can't be read become dead letters."""
    for table, upsert in UPSERTS.items():
        versions = pa.Table.from_struct_array(rows[table].drop_null())
        copy_into(statements, f"incoming_{table}", as_frame(versions))
        statements.execute(upsert)
    dead = rows.filter(pc.is_valid(rows["fault"])).to_pylist()
    add_dead_letters(statements, [_letter(row) for row in dead], [_span(row) for row in dead])
    return {"rows": rows.num_rows, "dead": len(dead)}


def _letter(row: dict[str, Any]) -> DeadLetter:
    return DeadLetter(
        row["topic"],
        row["partition"],
        row["first_offset"],
        WHOLE_MESSAGE,
        row["fault"],
        row["payload"],
        received_at=None,
        endpoint=None,
    )


def _span(row: dict[str, Any]) -> Span:
    return Span(
        row["topic"],
        row["partition"],
        cause_of(row["fault"]),
        row["first_offset"],
        row["last_offset"],
        1,
        THE_MESSAGE,
    )
