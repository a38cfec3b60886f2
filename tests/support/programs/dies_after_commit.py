"""Run the live job's query, and kill it with SIGKILL between its sink's first commit and Spark's.

spark-submit tests/support/programs/dies_after_commit.py
"""

import os
import signal

from pyspark.sql import DataFrame

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import live_prices
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.run.runner import fresh_checkpoint
from spark_jobs.run.session import spark_session


class DyingPriceSink(PriceSink):
    def write(self, batch: DataFrame, batch_id: int) -> None:
        super().write(batch, batch_id)
        # Kill the JVM, then this Python child.
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    settings = Settings.from_environment(JOBS)
    spark = spark_session("dies_after_commit")
    sink = DyingPriceSink(settings.database_url)
    records = kafka_records(spark, settings, EXCHANGE_OF_TOPIC, sink.postgres.progress())
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, "live_prices")
    live_prices(records, sink, checkpoint).start().awaitTermination()


if __name__ == "__main__":
    main()
