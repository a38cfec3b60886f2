"""Reads the raw topics' dead letters again: after a fix, what they say becomes prices and candles.

    spark-submit spark_jobs/replay_dead_letters.py

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
from typing import Any, NamedTuple

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import connection, cursor
from psycopg2.extras import execute_values
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.message import ENDPOINT_HEADER
from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.candle_days import RETENTION
from spark_jobs.dead_letters import DeadLetter, place_of
from spark_jobs.entry import run
from spark_jobs.items import WHOLE_MESSAGE, explode_items
from spark_jobs.normalise import normalise
from spark_jobs.price_sink import PriceSink
from spark_jobs.running import log_to_stderr
from spark_jobs.schemas import RECORD
from spark_jobs.session import spark_session
from spark_jobs.sources import Place

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

    def __init__(self, database_url: str, candles_kept: timedelta) -> None:
        self._messages: dict[Place, bytes] = {}
        super().__init__(database_url, lambda _places: self._messages, candles_kept)

    def replay(self, tickers: DataFrame, letters: Sequence[DeadLetter]) -> int:
        """One transaction. Returns how many of the letters could be read."""
        known = {letter[:4] for letter in letters}
        # Asked for what is a dead letter only now: an element of a message that was dead as a whole.
        self._messages = {
            letter[:3]: letter.payload for letter in letters if letter.position == WHOLE_MESSAGE
        }
        with self._connection, self._connection.cursor() as statements:
            rows = self._reduce(tickers).toArrow()
            is_dead = pc.is_valid(rows["reason"])
            good, dead = rows.filter(pc.invert(is_dead)), rows.filter(is_dead)
            still_dead = [(*place_of(row), row["position"]) for row in dead.to_pylist()]
            is_new = pa.array([key not in known for key in still_dead], pa.bool_())
            found = pa.concat_tables([good, dead.filter(is_new)])
            if found.num_rows:
                self._write_rows(statements, found, reached={})
            readable = known.difference(still_dead)
            _delete(statements, readable)
        return len(readable)


def _delete(statements: cursor, keys: Collection[Key]) -> None:
    execute_values(statements, DELETE, sorted(keys), page_size=LETTERS_AT_ONCE)


def tickers_of(spark: SparkSession, stored: Sequence[Stored]) -> DataFrame:
    """What normalise gives, each with the place and position that the letter had.

    Each letter is read as a message of its own, an item as an array of one, so that none can spoil
    another. Its number stands for its offset meanwhile.
    """
    records = [_record(number, *each) for number, each in enumerate(stored)]
    places = [(n, each.letter.offset, each.letter.position) for n, each in enumerate(stored)]
    was = spark.createDataFrame(places, "number LONG, was_offset LONG, was_position INT")
    tickers = (
        spark.createDataFrame(records, RECORD).transform(explode_items).transform(normalise)
    ).withColumnRenamed("offset", "number")
    is_item = F.col("was_position") != WHOLE_MESSAGE
    position = F.when(is_item, F.col("was_position")).otherwise(F.col("position"))
    return (
        tickers.join(was, "number")
        .withColumn("offset", F.col("was_offset"))
        .withColumn("position", position)
    )


def _record(number: int, letter: DeadLetter, written_at: datetime) -> tuple[Any, ...]:
    """A row of schemas.RECORD."""
    is_whole = letter.position == WHOLE_MESSAGE
    value = letter.payload if is_whole else b"[" + letter.payload + b"]"
    headers = [] if letter.endpoint is None else [(ENDPOINT_HEADER, letter.endpoint.encode())]
    return (None, value, letter.topic, letter.partition, number, written_at, 0, headers)


def replay_dead_letters(
    spark: SparkSession, database_url: str, candles_kept: timedelta = RETENTION
) -> tuple[int, int]:
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
            readable += sink.replay(tickers_of(spark, stored), [each.letter for each in stored])
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
    spark = spark_session("replay_dead_letters")
    seen, readable = replay_dead_letters(spark, settings.database_url, settings.candles_retention)
    print(f"{seen} dead letters, {readable} can be read now")
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    run("replay_dead_letters", main)
