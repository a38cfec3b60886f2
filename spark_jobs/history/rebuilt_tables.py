"""Build the live job's tables again in a separate schema, then replace the live tables' rows.

Readers see the old rows until one transaction replaces them. A rebuild that ends early changes nothing;
the live job's next start, or the next rebuild, drops its tables.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from psycopg2.extensions import cursor
from psycopg2.extras import execute_values

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.history.reach import KAFKA_AHEAD_LIMIT, Reach
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.topic_ids import TopicIds, refuse_recreated_topics
from spark_jobs.postgres.candle_days import make_days, retained_span
from spark_jobs.postgres.candles import MERGE
from spark_jobs.postgres.kafka_progress import locked_progress, store_progress, stored_topic_ids
from spark_jobs.postgres.price_sink import COLUMNS, UPSERT, PriceSink
from spark_jobs.postgres.reading_rules import record_rebuild
from spark_jobs.tickers.columns import CANDLE
from spark_jobs.tickers.letters.spans import BLOCK

SCHEMA = "rebuild"
BEGINNING_OF_TIME = "-infinity"
"""Postgres's timestamp before all others."""
TABLES = ("live_prices", "dead_letters", "dead_letter_spans", "kafka_progress", "batches")

# The sink's search path only has the schema of the rebuild: a statement on a table that is missing there
# fails instead of changing the live one.
WORK_IN_PUBLIC = "SET LOCAL search_path TO public"

# A rebuild that ended early has left its tables.
DROP_LEFT_OVER = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"

CREATE = f"""
{DROP_LEFT_OVER};
CREATE SCHEMA {SCHEMA};
CREATE TABLE {SCHEMA}.candles_1m (LIKE public.candles_1m INCLUDING ALL) PARTITION BY RANGE (minute);
""" + "".join(
    f"CREATE TABLE {SCHEMA}.{table} (LIKE public.{table} INCLUDING ALL);\n" for table in TABLES
)

CREATE_LIMITS = """
CREATE TEMPORARY TABLE rebuilt_from (
    topic text, partition integer, first bigint, block bigint, received timestamptz, created timestamptz,
    is_new boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE rebuilt_after (exchange text, minute timestamptz) ON COMMIT DROP
"""

DELETE_PRICES = """
DELETE FROM live_prices AS stored USING rebuilt_from AS rebuilt
WHERE stored.topic = rebuilt.topic AND stored.partition = rebuilt.partition
    AND stored."offset" >= rebuilt.first AND stored.received_at >= rebuilt.received
RETURNING stored.exchange, stored.symbol
"""
INSERT_PRICES = f"INSERT INTO incoming ({COLUMNS}) SELECT {COLUMNS} FROM {SCHEMA}.live_prices"
SYMBOLS = "SELECT exchange, symbol FROM live_prices"

CANDLE_COLUMNS = ", ".join(f"rebuilt.{name}" for name in CANDLE)
REPLACE_CANDLES = f"""
DELETE FROM candles_1m AS stored USING rebuilt_after AS after
WHERE stored.exchange = after.exchange AND stored.minute > after.minute AND stored.minute >= %(since)s;
INSERT INTO candles_1m ({", ".join(CANDLE)})
SELECT {CANDLE_COLUMNS} FROM {SCHEMA}.candles_1m AS rebuilt JOIN rebuilt_after AS after USING (exchange)
WHERE rebuilt.minute > after.minute AND rebuilt.minute >= %(since)s
"""

# Candles up to after.minute stay, as not all of their records were read. If the live job has read none of
# the records that were read here from a partition, their tickers are not in those candles yet: add them. A
# symbol changes its partition only if their number changes.
ADD_NEW_TICKERS = f"""
INSERT INTO incoming_candles ({", ".join(CANDLE)})
SELECT {CANDLE_COLUMNS} FROM {SCHEMA}.candles_1m AS rebuilt
JOIN rebuilt_after AS after USING (exchange)
JOIN {SCHEMA}.live_prices AS price USING (exchange, symbol)
JOIN rebuilt_from AS source ON (source.topic, source.partition) = (price.topic, price.partition)
WHERE source.is_new AND rebuilt.minute <= after.minute AND rebuilt.minute >= %(since)s;
{MERGE}
"""

# Makes the upkeep sort a finished day again.
IS_NOT_SORTED = "ALTER TABLE {name} SET WITHOUT CLUSTER"

DAYS = f"""
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = '{SCHEMA}.candles_1m'::regclass
"""

# The sink dates a batch's dead letters by now(), the time of the rebuild. Replace that by Kafka's newest
# timestamp of the batch, which is about when the live job would have written them. Earlier batches already
# have older dates, so the conditions skip them.
DATE_LETTERS = f"""
UPDATE {SCHEMA}.dead_letters SET written_at = %(stamped)s
WHERE topic = %(topic)s AND written_at > %(stamped)s;
UPDATE {SCHEMA}.dead_letter_spans
SET written_at = %(stamped)s, first_written_at = LEAST(first_written_at, %(stamped)s)
WHERE topic = %(topic)s AND written_at > %(stamped)s
"""

# Keep written_at: the upkeep deletes letters by it, and a replay without the message compares received_at
# with it instead of with Kafka's timestamp.
REPLACE_LETTERS = f"""
UPDATE {SCHEMA}.dead_letters AS rebuilt SET written_at = stored.written_at FROM dead_letters AS stored
WHERE (rebuilt.topic, rebuilt.partition, rebuilt."offset", rebuilt.position)
    = (stored.topic, stored.partition, stored."offset", stored.position);
DELETE FROM dead_letters AS stored USING rebuilt_from AS rebuilt
WHERE stored.topic = rebuilt.topic AND stored.partition = rebuilt.partition
    AND stored."offset" >= rebuilt.block AND stored.written_at >= rebuilt.created;
INSERT INTO dead_letters
SELECT found.* FROM {SCHEMA}.dead_letters AS found
JOIN rebuilt_from AS rebuilt USING (topic, partition) WHERE found."offset" >= rebuilt.block
ON CONFLICT DO NOTHING
"""

REPLACE_SPANS = f"""
UPDATE {SCHEMA}.dead_letter_spans AS rebuilt
SET first_written_at = stored.first_written_at, written_at = stored.written_at
FROM (
    SELECT topic, partition, cause, first_offset / {BLOCK} AS block,
        min(first_written_at) AS first_written_at, max(written_at) AS written_at
    FROM dead_letter_spans GROUP BY 1, 2, 3, 4
) AS stored
WHERE (rebuilt.topic, rebuilt.partition, rebuilt.cause, rebuilt.first_offset / {BLOCK})
    = (stored.topic, stored.partition, stored.cause, stored.block);
DELETE FROM dead_letter_spans AS stored USING rebuilt_from AS rebuilt
WHERE stored.topic = rebuilt.topic AND stored.partition = rebuilt.partition
    AND stored.first_offset >= rebuilt.block AND stored.written_at >= rebuilt.created;
INSERT INTO dead_letter_spans
SELECT found.* FROM {SCHEMA}.dead_letter_spans AS found
JOIN rebuilt_from AS rebuilt USING (topic, partition) WHERE found.first_offset >= rebuilt.block
ON CONFLICT DO NOTHING
"""

# Servers ask for changes since an id, which do not include deleted prices. When this table gets a new
# file, they read all prices again. TRUNCATE comes late, because it blocks readers until the commit.
EMPTY_BATCHES = "TRUNCATE batches"

# Servers ask for changes since an id, so the replaced prices need a new one.
ADD_BATCH = """
INSERT INTO batches (id, rows_written, rows_refused, dead_letters, offsets, started_at)
VALUES (%(batch_id)s, %(written)s, 0, 0, '{}', now());
SELECT pg_notify('live_prices', %(batch_id)s::text)
"""


class Begin(NamedTuple):
    """Progress of the live tables, when it was read, and the minute of each exchange's oldest candle."""

    progress: Offsets
    now: datetime
    oldest_candles: Mapping[str, datetime]


class RebuiltTables:
    """The tables of a rebuild, and the live job's sink that writes them.

    A rebuild and a live job exclude each other by the same advisory lock.
    """

    def __init__(self, database_url: str, candles_kept: timedelta) -> None:
        """Connect. Raise SecondLiveJobError while a live job is running."""
        self.sink = PriceSink(database_url, candles_kept, name="RebuildSink", schema=SCHEMA)
        self._postgres = self.sink.postgres
        self._candles_kept = candles_kept

    def close(self) -> None:
        self.sink.close()

    def begin(self, topic_ids: TopicIds) -> Begin:
        """Create the rebuild's tables, empty. Raise TopicError for a topic that was created again."""
        topics = self.sink.topics
        with self._postgres.begin() as statements:
            statements.execute(WORK_IN_PUBLIC)
            refuse_recreated_topics(
                stored_topic_ids(statements, topics), topic_ids, "kafka_progress"
            )
            progress = locked_progress(statements, topics)
            statements.execute(CREATE)
            statements.execute("SELECT now()")
            ((now,),) = statements.fetchall()
            statements.execute("SELECT exchange, min(minute) FROM candles_1m GROUP BY exchange")
            oldest_candles = dict(statements.fetchall())
        self._postgres.resume(topic_ids)
        return Begin(progress, now, oldest_candles)

    def date_dead_letters(self, stamped: Mapping[str, datetime | None]) -> None:
        """Date the dead letters of the newest batch by Kafka's newest timestamp of each topic in it."""
        with self._postgres.begin() as statements:
            for topic, newest in stamped.items():
                if newest is not None:
                    values = {"topic": topic, "stamped": newest.astimezone(UTC)}
                    statements.execute(DATE_LETTERS, values)

    def replace(self, reach: Reach, progress: Offsets, topic_ids: TopicIds) -> None:
        """Replace rows of the live tables by the rebuilt ones, in one transaction.

        Rows that were made of records outside of `reach` stay. `progress` is that of the live tables. If a
        price is gone afterwards, servers read all prices again.
        """
        with self._postgres.begin() as statements:
            statements.execute(WORK_IN_PUBLIC)
            statements.execute("SELECT nextval(pg_get_serial_sequence('batches', 'id')), now()")
            ((batch_id, now),) = statements.fetchall()
            _set_limits(statements, reach, progress)
            statements.execute(DELETE_PRICES)
            deleted = set(statements.fetchall())
            statements.execute(INSERT_PRICES)
            statements.execute(UPSERT, {"batch_id": batch_id})
            written = statements.rowcount
            statements.execute(SYMBOLS)
            gone = deleted.difference(statements.fetchall())
            self._replace_candles(statements, now)
            statements.execute(REPLACE_LETTERS)
            statements.execute(REPLACE_SPANS)
            # A partition that never had a record has no progress.
            reached = {
                topic_partition: end for topic_partition, end in reach.ends.items() if end > 0
            }
            store_progress(statements, reached, topic_ids)
            record_rebuild(statements, unchanged_until(reach))
            statements.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
            if gone:
                statements.execute(EMPTY_BATCHES)
            statements.execute(ADD_BATCH, {"batch_id": batch_id, "written": written})

    def _replace_candles(self, statements: cursor, now: datetime) -> None:
        statements.execute(DAYS)
        names = [name for (name,) in statements.fetchall()]
        make_days(statements, map(_day, names))
        since, _until = retained_span(now, self._candles_kept)
        statements.execute(REPLACE_CANDLES, {"since": since})
        statements.execute(ADD_NEW_TICKERS, {"since": since})
        for name in names:
            statements.execute(IS_NOT_SORTED.format(name=name))


def _day(partition: str) -> date:
    """Return the day of a partition of candles_1m, such as candles_1m_20261122."""
    return datetime.strptime(partition, "candles_1m_%Y%m%d").replace(tzinfo=UTC).date()


def _set_limits(statements: cursor, reach: Reach, progress: Offsets) -> None:
    """Store the first offset that was read of each partition, and the minutes of `complete_after`.

    `is_new` is whether all records that were read are after the live tables' progress. Rows that were
    received before the first item that is read, and dead letters from before the topic was created again,
    belong to a former topic, whatever their offset.
    """
    statements.execute(CREATE_LIMITS)
    execute_values(
        statements,
        "INSERT INTO rebuilt_from VALUES %s",
        [
            # Spans of dead letters are replaced by block. If the first block is cut, its spans stay.
            (
                topic,
                partition,
                first,
                -(-first // BLOCK) * BLOCK,
                reach.received.get((topic, partition), BEGINNING_OF_TIME),
                reach.created.get(topic, BEGINNING_OF_TIME),
                first >= progress.get((topic, partition), 0),
            )
            for (topic, partition), first in reach.begins.items()
        ],
    )
    execute_values(
        statements, "INSERT INTO rebuilt_after VALUES %s", [*complete_after(reach).items()]
    )


def complete_after(reach: Reach) -> Mapping[str, datetime | str]:
    """Return `unchanged_until`, with BEGINNING_OF_TIME instead of None."""
    return {
        exchange: until or BEGINNING_OF_TIME for exchange, until in unchanged_until(reach).items()
    }


def unchanged_until(reach: Reach) -> dict[str, datetime | None]:
    """Return, per exchange, the last minute whose candles may include records that were not read.

    It is None if all records since the first were read.
    """
    return {
        exchange: reach.since[exchange] + KAFKA_AHEAD_LIMIT if exchange in reach.since else None
        for exchange in EXCHANGE_OF_TOPIC.values()
    }
