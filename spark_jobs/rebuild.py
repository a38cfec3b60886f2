"""Rebuild prices, candles, dead letters and `tickers/` from all records that Kafka and `raw/` hold.

    spark-submit spark_jobs/rebuild.py

Stop live_prices and price_history first; otherwise it refuses to start. The live job's own sink writes
the records, in batches, into a second set of tables. One transaction then replaces the rows of the live
tables: until then readers see the old rows, and a rebuild that fails changes nothing. Rows made from
records that neither Kafka nor `raw/` holds are kept and listed. The live job resumes at the offset where
the rebuild ended. Then `tickers/` is rebuilt in the same way: see history/rebuilt_tickers.py.
"""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from pyspark.sql import Column, Observation, SparkSession
from pyspark.sql import functions as F

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.history.history import all_history
from spark_jobs.history.reach import NOWHERE, Reach, whole_reach
from spark_jobs.history.rebuilt_tables import RebuiltTables, unchanged_until
from spark_jobs.history.rebuilt_tickers import MESSAGES_PER_STEP, Rebuilt, rebuild_tickers
from spark_jobs.history.steps import in_steps
from spark_jobs.kafka_source.partitions import log_lost
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.run.entry import run
from spark_jobs.run.runner import lock_job, log_to_stderr
from spark_jobs.run.session import spark_session
from spark_jobs.tickers.messages import messages, minutes

log = logging.getLogger(__name__)


def rebuild(
    spark: SparkSession, settings: Settings, messages_per_step: int = MESSAGES_PER_STEP
) -> Reach:
    """Rebuild the tables and return the range that was read.

    Raise SecondLiveJobError if a live job is running, OffsetError or TopicError if the topics are not
    those that were read before, HistoryError if an object of `raw/` lacks records that its name
    promises, or Kafka deleted records meanwhile that `raw/` lacks. An error changes nothing.
    """
    ids = topic_ids(settings, EXCHANGE_OF_TOPIC)
    with closing(RebuiltTables(settings.database_url, settings.candles_retention)) as tables:
        progress, now, oldest_candles = tables.begin(ids)
        history = all_history(spark, settings)
        ends = history.ends_after(progress)
        reach = whole_reach(history, ends, now, oldest_candles)
        history.refuse_incomplete(reach.begins, ends)
        log_lost(reach.begins, progress, NOWHERE)
        steps = [*in_steps(reach.begins, ends, messages_per_step)]
        for number, (begins, batch_ends) in enumerate(steps):
            stamped = Observation()
            records = history.all_records(begins, batch_ends).observe(stamped, *newest_stamps())
            tables.sink.write(records.transform(messages).transform(minutes), number)
            tables.date_dead_letters(stamped.get)
            counts = " ".join(
                f"{name}={count}" for name, count in tables.sink.counts(number).items()
            )
            log.info("rebuilt batch=%d of=%d %s", number + 1, len(steps), counts)
        tables.replace(reach, progress, ids)
    return reach


def newest_stamps() -> list[Column]:
    """Return one aggregate per raw topic, named after it: Kafka's newest timestamp of its records."""
    return [
        F.max(F.when(F.col("topic") == topic, F.col("timestamp"))).alias(topic)
        for topic in EXCHANGE_OF_TOPIC
    ]


def unchanged_rows(reach: Reach) -> Iterator[str]:
    """Yield a line for each exchange whose oldest records are neither in Kafka nor in `raw/`."""
    for exchange, minute in unchanged_until(reach).items():
        if minute is not None:
            yield (
                f"{exchange}: candles up to {minute:%Y-%m-%d %H:%M} UTC, and prices and dead letters of "
                "messages that neither Kafka nor raw/ holds, were kept unchanged"
            )


def unchanged_tickers(rebuilt: Rebuilt) -> Iterator[str]:
    """Yield a line for each partition with records neither in Kafka nor in `raw/`, and each former topic."""
    for (topic, partition), first in sorted(rebuilt.begins.items()):
        if first > 0:
            yield f"{topic}/{partition}: rows below offset {first} were kept unchanged"
    for topic in sorted(rebuilt.former):
        yield f"{topic}: rows of the deleted topic were kept unchanged"


def main() -> None:
    settings = Settings.from_environment(JOBS)
    spark = spark_session("rebuild")
    lock_job(settings.checkpoint_dir, TickerTable.query)
    reach = rebuild(spark, settings)
    print("\n".join(["rebuilt prices, candles and dead letters", *unchanged_rows(reach)]))
    of_tickers = rebuild_tickers(spark, settings, datetime.now(UTC))
    if of_tickers:
        print("\n".join(["rebuilt tickers/", *unchanged_tickers(of_tickers)]))
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    run("rebuild", main)
