"""Accept topics that were deleted and created again: read the new ones from their oldest records.

    spark-submit spark_jobs/accept_topics.py

Run it while the jobs are stopped. It refuses to run beside a live job of the same database, or a job of
the lake that has the same CHECKPOINT_DIR on this machine; it can't notice one elsewhere. Data from a
deleted topic is kept: prices and candles in Postgres, `raw/` and `tickers/` in the bucket. Its dead
letters are deleted, because they can no longer be replayed. Topics whose id has not changed are skipped,
so running it again is safe.
"""

import logging
from contextlib import closing

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.exchange_candles.sink import ExchangeCandlesSink
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from spark_jobs.run.entry import run
from spark_jobs.run.runner import lock_job, log_to_stderr
from spark_jobs.run.session import spark_session

log = logging.getLogger(__name__)


def accept_topics(settings: Settings) -> None:
    """Make every sink accept the current topics.

    Raise SecondLiveJobError if a live job is running. Raise JobError if a job of the lake is running
    on this machine with the same CHECKPOINT_DIR.
    """
    for query in (Archive.query, TickerTable.query):
        lock_job(settings.checkpoint_dir, query)
    for opened in (
        PriceSink(settings.database_url),
        SmallTopicsSink(settings.database_url),
        ExchangeCandlesSink(settings.database_url, settings.candles_retention),
    ):
        with closing(opened) as sink:
            accepted = sink.postgres.accept(topic_ids(settings, sink.topics))
            log.info("accepted sink=%s topics=%s", sink.query, ",".join(accepted) or "none")
    spark, ids = spark_session("accept_topics"), topic_ids(settings, EXCHANGE_OF_TOPIC)
    # `dict` stands in for `end_of_batch`, which is called only when a batch is written.
    table = TickerTable(spark, lake_root(settings), dict, settings.tickers_retention_days)
    for name, accepted in (
        (Archive.query, Archive(spark, lake_root(settings)).accept(ids)),
        (TickerTable.query, table.accept(ids)),
    ):
        log.info("accepted sink=%s topics=%s", name, ",".join(accepted) or "none")
    spark.stop()


def main() -> None:
    accept_topics(Settings.from_environment(JOBS))


if __name__ == "__main__":
    log_to_stderr()
    run("accept_topics", main)
