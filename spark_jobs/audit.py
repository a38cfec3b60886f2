"""Compare the tables and the lake with Kafka's records.

    spark-submit spark_jobs/audit.py
    spark-submit spark_jobs/audit.py --from 2026-11-25T10:00 --to 2026-11-25T11:00

Read the raw topics from Kafka, and records that Kafka no longer has from `raw/`. Stop exactly at the
offsets that were committed with the tables, so the jobs may keep running. Prices, candles and dead letters
are compared row by row, `raw/` record by record, `tickers/` by the number of rows of each message, and
`landing/` by the number of items per minute; each part of the lake up to its own progress. Print the
differences; the exit status is 0 if there are none, else 1. Rows made from records that neither Kafka nor
`raw/` holds can't be compared: they are listed, but do not count as differences. So are rows of records
that `raw/` may lose within a day, by its retention, dead letters that are deleted within a day, and candles
past their retention. With --from and --to, only records that Kafka stamped in or near those minutes are read
and compared.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType, TimestampType

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.check.fresh_dead_letters import (
    BLOCKS,
    KEY_OF_BLOCKS,
    KEY_OF_LETTERS,
    LETTERS,
    as_copied,
    fresh_blocks,
    fresh_letters,
    whole_blocks,
)
from spark_jobs.check.fresh_tables import fresh_candles, fresh_live_prices
from spark_jobs.check.lake_verdicts import lake_verdicts
from spark_jobs.check.reconcile import messages_of
from spark_jobs.check.snapshot import Snapshot, read_copy, take_snapshot
from spark_jobs.check.verdicts import Verdict, report, verdict
from spark_jobs.history.history import History, all_history, history_of, lasting_since
from spark_jobs.history.message_counts import COUNTED, counted
from spark_jobs.history.reach import (
    Reach,
    is_complete,
    is_former,
    is_outside,
    is_wanted,
    reach_of,
    stamped_since,
    whole_reach,
    with_margin,
)
from spark_jobs.history.steps import Step, in_steps, narrowed, spans_by_block, written
from spark_jobs.kafka_source.time_span import TimeSpan, time_span
from spark_jobs.lake.raw.objects import DAY
from spark_jobs.postgres.upkeep import DEAD_LETTERS_KEPT
from spark_jobs.run.entry import run
from spark_jobs.run.runner import log_to_stderr
from spark_jobs.run.session import spark_session
from spark_jobs.tickers.columns import CANDLE, IS_TICKER, TICKER, ddl
from spark_jobs.tickers.letters.spans import BLOCK
from spark_jobs.tickers.messages import messages

log = logging.getLogger(__name__)

KEYS = {
    "live_prices": ("exchange", "symbol"),
    "candles_1m": ("exchange", "symbol", "minute"),
    "dead_letters": KEY_OF_LETTERS,
    "dead_letter_spans": KEY_OF_BLOCKS,
}

QUERIES = {
    "live_prices": "SELECT {} FROM live_prices".format(", ".join(f'"{name}"' for name in TICKER)),
    "candles_1m": "SELECT {} FROM candles_1m".format(", ".join(CANDLE)),
    "dead_letters": LETTERS,
    "dead_letter_spans": BLOCKS,
}

MINUTES = StructType(
    [StructField("exchange", StringType()), StructField("minute", TimestampType())]
)

MESSAGES_PER_STEP = 20_000
"""Messages per step: about five million tickers. A step takes seconds and writes few files."""


def audit(spark: SparkSession, settings: Settings, span: TimeSpan | None = None) -> list[Verdict]:
    """Compare everything that can be read, or only the minutes of a span.

    Raise OffsetError if a topic ends before the tables' progress.
    """
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        snapshot = take_snapshot(
            settings.database_url, tuple(EXCHANGE_OF_TOPIC), queries(span), Path(folder)
        )
        history, reach = _history_and_reach(spark, settings, snapshot, span)
        steps = [*in_steps(reach.begins, reach.ends, MESSAGES_PER_STEP)]
        # Use files: the rows take about 100 bytes per symbol for every few seconds, so a month does not
        # fit into memory.
        rows = written(spark, _counted(history, steps), ddl(COUNTED), Path(folder) / "rows")

        def stored(table: str, fresh: DataFrame) -> DataFrame:
            return read_copy(spark, snapshot.files[table], fresh.schema)

        def compared(table: str, found: DataFrame, fresh: DataFrame, others: DataFrame) -> Verdict:
            # With a span, do not list the rows outside it: nobody asked for them.
            return verdict(table, KEYS[table], found, fresh, others.where(F.lit(span is None)))

        fresh = rows.transform(fresh_candles).where(is_wanted(span))
        candles = stored("candles_1m", fresh)
        whole = is_complete(reach, snapshot.taken_at, settings.candles_retention)
        # List incomplete minutes even with a span: they were asked for.
        of_candles = verdict(
            "candles_1m",
            KEYS["candles_1m"],
            candles.where(whole),
            fresh.where(whole),
            candles.where(~whole),
        )

        prices = stored("live_prices", rows.select(*TICKER))
        # Assume that the price of a message that was not read is right, unless a newer one was read.
        elsewhere = prices.where(is_outside(reach) | is_former(reach))
        known = rows.unionByName(
            elsewhere.withColumn("kind", F.lit(IS_TICKER)), allowMissingColumns=True
        )
        of_prices = compared("live_prices", prices, known.transform(fresh_live_prices), elsewhere)

        # Older dead letters may have been deleted.
        since = snapshot.taken_at - DEAD_LETTERS_KEPT + DAY
        kept = stamped_since(reach, messages_of(rows), since)
        others = is_outside(kept)
        letters = stored("dead_letters", rows.transform(as_copied))
        examples = letters.where(~others)
        again = _letters_again(history, steps, examples)
        letters_again = written(spark, again, examples.schema, Path(folder) / "letters")
        of_letters = compared("dead_letters", examples, letters_again, letters.where(others))

        blocks_again = fresh_blocks(rows)
        blocks = stored("dead_letter_spans", blocks_again)
        parts = whole_blocks(blocks, blocks_again, is_outside(kept, BLOCK))
        of_blocks = compared("dead_letter_spans", *parts)
        of_lake = [*lake_verdicts(spark, settings, history, reach, rows, snapshot.taken_at, span)]
    return [of_prices, of_candles, of_letters, of_blocks, *of_lake]


def queries(span: TimeSpan | None) -> Mapping[str, str]:
    """Return the query that copies each table. With a span, the copy of candles_1m has only its minutes."""
    if span is None:
        return QUERIES
    minutes = f"minute >= '{span.since.isoformat()}' AND minute < '{span.until.isoformat()}'"
    return {**QUERIES, "candles_1m": f"{QUERIES['candles_1m']} WHERE {minutes}"}


def _history_and_reach(
    spark: SparkSession, settings: Settings, snapshot: Snapshot, span: TimeSpan | None
) -> tuple[History, Reach]:
    if span is None:
        history = all_history(spark, settings, lasting_since(settings, snapshot.taken_at))
        history.raise_if_beyond_kafka(snapshot.progress)
        oldest = _oldest_candles(spark, snapshot)
        return history, whole_reach(history, snapshot.progress, snapshot.taken_at, oldest)
    history = history_of(spark, settings, with_margin(span))
    history.raise_if_beyond_kafka(snapshot.progress)
    return history, reach_of(history, span, snapshot.progress, snapshot.taken_at)


def _oldest_candles(spark: SparkSession, snapshot: Snapshot) -> dict[str, datetime]:
    """Return the minute of each exchange's oldest candle."""
    candles = read_copy(spark, snapshot.files["candles_1m"], MINUTES)
    rows = candles.groupBy("exchange").agg(F.min("minute").alias("oldest")).collect()
    return {row["exchange"]: row["oldest"].astimezone(UTC) for row in rows}


def _counted(history: History, steps: Sequence[Step]) -> Iterator[DataFrame]:
    for number, step in enumerate(steps, start=1):
        if len(steps) > 1:
            log.info("reading step=%d of=%d", number, len(steps))
        yield history.all_records(*step).transform(counted)


def _letters_again(
    history: History, steps: Iterable[Step], examples: DataFrame
) -> Iterator[DataFrame]:
    """Reread the messages that have an example and few others, not the whole history."""
    for step in narrowed(steps, spans_by_block(examples)):
        yield fresh_letters(history.all_records(*step).transform(messages), examples)


def main() -> None:
    parser = argparse.ArgumentParser(prog="audit")
    parser.add_argument(
        "--from", dest="since", metavar="TIME", help="start: 2026-11-25T10:00 (UTC)"
    )
    parser.add_argument("--to", dest="until", metavar="TIME", help="end, not included")
    arguments = parser.parse_args()
    span = time_span(arguments.since, arguments.until)
    settings = Settings.from_environment(JOBS)
    spark = spark_session("audit")
    verdicts = audit(spark, settings, span)
    print("\n".join(report(verdicts)))
    spark.stop()
    sys.exit(int(any(each.differ for each in verdicts)))


if __name__ == "__main__":
    log_to_stderr()
    run("audit", main)
