"""Write the newest price of every symbol, candles, instruments and feed events from Kafka to Postgres.

    spark-submit spark_jobs/live_prices.py

Three queries, each with separate transactions, so none waits for another. Batches of the raw topics follow
each other without a pause; the small topics are read every second, the exchanges' own candles every five.
Effectively once: see postgres/transaction.py.
"""

from functools import partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.readwriter import DataStreamWriter

from core.settings import Settings
from spark_jobs.exchange_candles import query as exchange_candles
from spark_jobs.history.rebuilt_tables import DROP_LEFT_OVER
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.small_topics import parse_small_topics
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from spark_jobs.postgres.upkeep import Upkeep
from spark_jobs.run.runner import Start, fresh_checkpoint, run_job
from spark_jobs.run.sink import Sink
from spark_jobs.tickers.messages import messages, minutes

SMALL_MESSAGES_PER_BATCH = 4000
"""Each message is one row."""

# Postgres stores the query's progress, so a batch need not wait until its checkpoint is on disk: two
# files, 35 ms each. Spark allows this only for Kafka as the sink; the second option overrides its check.
ASYNC_PROGRESS = {
    "asyncProgressTrackingEnabled": "true",
    "_asyncProgressTrackingOverrideSinkSupportCheck": "true",
    # Nothing reads the files, and each starts programs that set its permissions.
    "asyncProgressTrackingCheckpointIntervalMs": "60000",
}

# The next two functions transform the stream, not each batch: Python takes longer to build a plan than
# Spark to run it.


def live_prices(records: DataFrame, sink: PriceSink, checkpoint: str) -> DataStreamWriter:
    """Return the query, not started yet. It reads with one task per core, each with a Python worker."""
    return (
        records.coalesce(records.sparkSession.sparkContext.defaultParallelism)
        .transform(messages)
        .transform(minutes)
        .writeStream.queryName(sink.query)
        .option("checkpointLocation", checkpoint)
        .foreachBatch(sink.write)
    )


def small_topics(records: DataFrame, sink: SmallTopicsSink, checkpoint: str) -> DataStreamWriter:
    """Return the query, not started yet."""
    return (
        records.transform(parse_small_topics)
        .writeStream.queryName(sink.query)
        .trigger(processingTime="1 second")
        .option("checkpointLocation", checkpoint)
        .foreachBatch(sink.write)
    )


def start(spark: SparkSession, settings: Settings) -> list[Sink]:
    """Start the upkeep, and two of the queries at the offsets in Postgres. Return the connected sinks."""
    folder = settings.checkpoint_dir
    records = partial(kafka_records, spark, settings)
    candles_kept = settings.candles_retention
    prices = PriceSink(settings.database_url, candles_kept)
    with prices.postgres.begin() as statements:
        # The tables of a rebuild that ended early may fill the disk. No rebuild is running: it would hold
        # the lock of this sink.
        statements.execute(DROP_LEFT_OVER)
    small = SmallTopicsSink(settings.database_url)
    Upkeep(settings.database_url, candles_kept).start()
    raw = records(prices.topics, prices.postgres.resume(topic_ids(settings, prices.topics)))
    progress = small.postgres.resume(topic_ids(settings, small.topics))
    few = records(small.topics, progress, SMALL_MESSAGES_PER_BATCH)
    query = live_prices(raw, prices, fresh_checkpoint(folder, prices.query))
    query.options(**ASYNC_PROGRESS).start()
    small_topics(few, small, fresh_checkpoint(folder, small.query)).start()
    return [prices, small]


# Free cores go to the live prices first.
STARTS: tuple[tuple[str, Start], ...] = (("live", start), ("lake", exchange_candles.start))


if __name__ == "__main__":
    run_job("live_prices", STARTS, lambda settings: settings.live_prices_metrics_port)
