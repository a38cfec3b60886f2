"""Reads the raw topics' dead letters again: after a fix, what they say becomes prices and candles.

    python -m spark_jobs.replay_dead_letters

While the live job is stopped; it is refused otherwise. A letter that can be read now goes the way of any
ticker, and in the same transaction its row of dead_letters goes: it counts once. Its price wins only if
it is the newer. What still can't be read stays as it is. kafka_progress is not touched. When a letter was
written stands for Kafka's own time, so what was ahead of it stays a dead letter.

The small topics need none of this: their tables are right however often a message is read, so it is
enough to delete a topic's rows of kafka_progress, and the live job reads it from its start.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import connection, cursor
from psycopg2.extras import execute_values

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.candle_days import RETENTION
from spark_jobs.dead_letters import DeadLetter
from spark_jobs.entry import run
from spark_jobs.price_sink import PriceSink
from spark_jobs.running import log_to_stderr
from spark_jobs.tickers.columns import (
    IS_DEAD_LETTER,
    MESSAGE,
    READ,
    REDUCED,
    as_table,
    polars_schema,
)
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE, read_elements
from spark_jobs.tickers.reducer import reduce_to_minutes

# Of a transaction.
LETTERS_AT_ONCE = 1000

KEY = 'topic, partition, "offset", position'
NEXT_LETTERS = f"""
SELECT {KEY}, reason, payload, received_at, endpoint, written_at FROM dead_letters
WHERE topic = ANY(%(topics)s) AND ({KEY}) > %(after)s
ORDER BY {KEY} LIMIT %(rows)s
"""
DELETE = f"DELETE FROM dead_letters WHERE ({KEY}) IN (VALUES %s)"

# A place and a position: the key of dead_letters.
Key = tuple[str, int, int, int]


class Stored(NamedTuple):
    letter: DeadLetter
    written_at: datetime


class ReplaySink(PriceSink):
    """The live job's sink, for what comes from dead letters."""

    def replay(self, stored: Sequence[Stored]) -> int:
        """One transaction. Return how many of the letters could be read."""
        rows = rows_of(stored)
        dead = rows.filter(pc.field("kind") == IS_DEAD_LETTER)
        still_dead = keys_of(dead)
        known = {each.letter[:4] for each in stored}
        # An element of a message that was dead as a whole may be a dead letter only now.
        is_new = pa.array([key not in known for key in still_dead], pa.bool_())
        good = rows.filter(pc.field("kind") != IS_DEAD_LETTER)
        found = pa.concat_tables([good, dead.filter(is_new)])
        readable = known.difference(still_dead)
        with self._connection, self._connection.cursor() as statements:
            if found.num_rows:
                self._write_rows(statements, found, reached={})
            _delete(statements, readable)
        return len(readable)


def _delete(statements: cursor, keys: Collection[Key]) -> None:
    execute_values(statements, DELETE, sorted(keys), page_size=LETTERS_AT_ONCE)


def rows_of(stored: Sequence[Stored]) -> pa.Table:
    """Return rows of columns.REDUCED, each with the place and the position that its letter had."""
    read = [pl.DataFrame(schema=polars_schema(READ)), *map(read_again, stored)]
    return as_table(reduce_to_minutes(pl.concat(read)), REDUCED)


def read_again(stored: Stored) -> pl.DataFrame:
    """Return rows of columns.READ. An item is read as an array of one, so that none can spoil another."""
    letter = stored.letter
    is_item = letter.position != WHOLE_MESSAGE
    message = {
        "value": b"[" + letter.payload + b"]" if is_item else letter.payload,
        "timestamp": stored.written_at,
        **{name: getattr(letter, name) for name in ("endpoint", "topic", "partition", "offset")},
    }
    rows = read_elements(pl.DataFrame([message], polars_schema(MESSAGE)))
    return (
        rows.with_columns(pl.lit(letter.position, pl.Int32).alias("position")) if is_item else rows
    )


def keys_of(letters: pa.Table) -> list[Key]:
    rows = letters.select(["topic", "partition", "offset", "position"]).to_pylist()
    return [(row["topic"], row["partition"], row["offset"], row["position"]) for row in rows]


def replay_dead_letters(database_url: str, candles_kept: timedelta = RETENTION) -> tuple[int, int]:
    """How many there were, and how many of them could be read.

    Raises SecondLiveJobError beside a live job.
    """
    seen = readable = 0
    with (
        closing(ReplaySink(database_url, candles_kept)) as sink,
        closing(psycopg2.connect(database_url)) as database,
    ):
        for stored in all_letters(database):
            seen += len(stored)
            readable += sink.replay(stored)
    return seen, readable


def all_letters(database: connection) -> Iterator[list[Stored]]:
    """In the order of their keys, some at a time."""
    after: Key = ("", 0, 0, 0)
    while True:
        with database, database.cursor() as statements:
            values = {"topics": list(EXCHANGE_OF_TOPIC), "after": after, "rows": LETTERS_AT_ONCE}
            statements.execute(NEXT_LETTERS, values)
            stored = [
                Stored(DeadLetter(*letter)._replace(payload=bytes(letter[5])), written_at)
                for *letter, written_at in statements.fetchall()
            ]
        if not stored:
            return
        yield stored
        after = stored[-1].letter[:4]


def main() -> None:
    settings = Settings.from_environment(JOBS)
    seen, readable = replay_dead_letters(settings.database_url, settings.candles_retention)
    print(f"{seen} dead letters, {readable} can be read now")


if __name__ == "__main__":
    log_to_stderr()
    run("replay_dead_letters", main)
