"""Do the tables say what Kafka says? live_prices, candles_1m and dead_letters, row by row.

    spark-submit spark_jobs/audit.py

Reads the raw topics from their oldest records up to exactly the offsets that the tables were committed
with, so the live job may go on meanwhile. Prints what differs; the exit status is 0 when nothing does,
else 1. What was made of messages that Kafka no longer holds can't be compared: it is named, and is no
difference. Nor is a candle compared that is kept no more.
"""

import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.dead_letters import DeadLetter
from spark_jobs.differences import differences
from spark_jobs.entry import run
from spark_jobs.expired import is_expired, is_whole
from spark_jobs.fresh_tables import fresh_candles, fresh_live_prices
from spark_jobs.messages import messages, minutes
from spark_jobs.running import log_to_stderr
from spark_jobs.session import spark_session
from spark_jobs.snapshot import read_copy, take_snapshot
from spark_jobs.sources import kept_records, starting_offsets
from spark_jobs.tickers.columns import CANDLE, IS_DEAD_LETTER, IS_TICKER, TICKER

SHOWN = 20

KEYS = {
    "live_prices": ("exchange", "symbol"),
    "candles_1m": ("exchange", "symbol", "minute"),
    "dead_letters": ("topic", "partition", "offset", "position"),
}

TOPICS = ", ".join(f"'{topic}'" for topic in EXCHANGE_OF_TOPIC)
QUERIES = {
    "live_prices": "SELECT {} FROM live_prices".format(", ".join(f'"{name}"' for name in TICKER)),
    "candles_1m": "SELECT {} FROM candles_1m".format(", ".join(CANDLE)),
    "dead_letters": 'SELECT topic, partition, "offset", position, reason, received_at, endpoint,'
    f" encode(payload, 'hex') AS payload FROM dead_letters WHERE topic IN ({TOPICS})",
}


class Verdict(NamedTuple):
    """Of a table. `examples` shows some of the rows that differ, `expired` some that can't be compared."""

    table: str
    rows: int
    differ: int
    examples: list[str]
    not_compared: int
    expired: list[str]


def audit(spark: SparkSession, settings: Settings) -> list[Verdict]:
    """Raises OffsetError where the topics do not hold what the tables' progress says."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        snapshot = take_snapshot(
            settings.database_url, tuple(EXCHANGE_OF_TOPIC), QUERIES, Path(folder)
        )
        oldest = starting_offsets(settings, EXCHANGE_OF_TOPIC, {})
        # Only to find out whether they fit.
        starting_offsets(settings, EXCHANGE_OF_TOPIC, snapshot.progress)
        records = partial(kept_records, spark, settings, oldest)
        rows = records(snapshot.progress).transform(messages).transform(minutes).persist()

        def stored(table: str, fresh: DataFrame) -> DataFrame:
            return read_copy(spark, snapshot.files[table], fresh.schema)

        fresh = rows.transform(fresh_candles)
        candles, whole = (
            stored("candles_1m", fresh),
            is_whole(records, oldest, snapshot, settings.candles_retention),
        )
        of_candles = verdict(
            "candles_1m", candles.where(whole), fresh.where(whole), candles.where(~whole)
        )

        expired = is_expired(oldest)
        prices = stored("live_prices", rows.select(*TICKER))
        # A price of an expired message is right, unless Kafka holds a newer one.
        older = prices.where(expired).withColumn("kind", F.lit(IS_TICKER))
        known = rows.unionByName(older, allowMissingColumns=True)
        of_prices = verdict(
            "live_prices", prices, known.transform(fresh_live_prices), prices.where(expired)
        )

        fresh = fresh_letters(rows)
        letters = stored("dead_letters", fresh)
        of_letters = verdict("dead_letters", letters.where(~expired), fresh, letters.where(expired))
        rows.unpersist()
    return [of_prices, of_candles, of_letters]


def fresh_letters(rows: DataFrame) -> DataFrame:
    """The dead letters among rows of columns.REDUCED. The payload is hexadecimal, as in the copy."""
    dead = rows.where(F.col("kind") == IS_DEAD_LETTER)
    return dead.withColumn("payload", F.lower(F.hex("payload"))).select(*DeadLetter._fields)


def verdict(table: str, stored: DataFrame, fresh: DataFrame, expired: DataFrame) -> Verdict:
    key = KEYS[table]
    found = differences(stored, fresh, key).persist()
    try:
        return Verdict(
            table,
            stored.count(),
            found.count(),
            lines(found, (*key, "difference")),
            expired.count(),
            lines(expired, key),
        )
    finally:
        found.unpersist()


def lines(rows: DataFrame, columns: Iterable[str]) -> list[str]:
    """The first few, each as text."""
    text = rows.select(F.concat_ws(" ", *columns).alias("text"))
    return [row["text"] for row in text.orderBy("text").limit(SHOWN).collect()]


def report(verdicts: Iterable[Verdict]) -> Iterable[str]:
    for table, rows, differ, examples, not_compared, expired in verdicts:
        yield f"{table}: {rows} rows, {differ} differ"
        yield from _some("", examples, differ)
        if not_compared:
            yield f"  {not_compared} can't be compared, Kafka no longer holds all that they are made of"
            yield from _some("  ", expired, not_compared)


def _some(indent: str, shown: list[str], count: int) -> Iterable[str]:
    yield from (f"{indent}  {line}" for line in shown)
    if count > len(shown):
        yield f"{indent}  and {count - len(shown)} more"


def main() -> None:
    settings = Settings.from_environment(JOBS)
    spark = spark_session("audit")
    verdicts = audit(spark, settings)
    print("\n".join(report(verdicts)))
    spark.stop()
    sys.exit(int(any(each.differ for each in verdicts)))


if __name__ == "__main__":
    log_to_stderr()
    run("audit", main)
