"""Make prices, candles and dead letters anew, from all records that Kafka and `raw/` hold.

    spark-submit spark_jobs/rebuild.py

Run it while the live job is stopped; it is refused otherwise. The records go through the live job's own sink,
some at a time, into a second set of tables. One transaction then replaces the live tables' rows: readers see
the old ones until then, and a rebuild that ends early changes nothing. Rows that are made of records which
neither Kafka nor `raw/` holds stay as they are, and are named. The live job resumes where the tables were.
"""

import logging
from collections.abc import Iterator
from contextlib import closing

from pyspark.sql import SparkSession

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.history.history import History, all_history
from spark_jobs.history.reach import Reach, whole_reach
from spark_jobs.history.rebuilt_tables import RebuiltTables, complete_after
from spark_jobs.history.steps import in_steps
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.run.entry import run
from spark_jobs.run.runner import log_to_stderr
from spark_jobs.run.session import spark_session
from spark_jobs.tickers.messages import messages, minutes

log = logging.getLogger(__name__)

MESSAGES_PER_BATCH = 2000
"""Half a million tickers or more: what two cores and 1 GB can bear, as for the lake."""


def rebuild(
    spark: SparkSession, settings: Settings, messages_per_batch: int = MESSAGES_PER_BATCH
) -> Reach:
    """Return what was read.

    Raise SecondLiveJobError beside a live job, OffsetError and TopicError where the topics are not those that
    were read, HistoryError where `raw/` lacks what its names promise. Nothing is changed then.
    """
    ids = topic_ids(settings, EXCHANGE_OF_TOPIC)
    with closing(RebuiltTables(settings.database_url, settings.candles_retention)) as tables:
        progress, now = tables.begin(ids)
        history = all_history(spark, settings)
        ends = ends_of(history, progress)
        reach = whole_reach(history, ends, now)
        history.refuse_incomplete(reach.begins, ends)
        steps = [*in_steps(reach.begins, ends, messages_per_batch)]
        for number, (begins, batch_ends) in enumerate(steps):
            records = history.all_records(begins, batch_ends)
            cores = spark.sparkContext.defaultParallelism
            rows = records.coalesce(cores).transform(messages).transform(minutes)
            tables.sink.write(rows, number)
            counts = " ".join(
                f"{name}={count}" for name, count in tables.sink.counts(number).items()
            )
            log.info("rebuilt batch=%d of=%d %s", number + 1, len(steps), counts)
        tables.replace(reach, ids)
    return reach


def ends_of(history: History, progress: Offsets) -> dict[tuple[str, int], int]:
    """Return the offset of each partition up to which the tables are made.

    That is where they were. Where that has expired in Kafka, it is Kafka's oldest record; where nothing was
    read yet, its newest. Raise OffsetError where Kafka has not come so far.
    """
    history.refuse_beyond(progress)
    return {
        place: max(progress.get(place, high), low) for place, (low, high) in history.kept().items()
    }


def what_stays(reach: Reach) -> Iterator[str]:
    """Yield a line for each exchange of which the oldest records are gone."""
    for exchange, minute in complete_after(reach).items():
        if exchange in reach.since:
            yield (
                f"{exchange}: candles up to {minute:%Y-%m-%d %H:%M} UTC, and prices and dead letters of "
                "messages that neither Kafka nor raw/ holds, are as they were"
            )


def main() -> None:
    settings = Settings.from_environment(JOBS)
    spark = spark_session("rebuild")
    reach = rebuild(spark, settings)
    print("\n".join(["rebuilt prices, candles and dead letters", *what_stays(reach)]))
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    run("rebuild", main)
