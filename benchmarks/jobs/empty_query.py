"""Run a query on the raw topics whose batches do nothing, to measure what Spark itself takes.

    spark-submit benchmarks/jobs/empty_query.py

It is started like the live job's query, but no batch reads its records. Prints one line of JSON per
batch: when its function returned, and the next offset of each partition.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import ASYNC_PROGRESS
from spark_jobs.run.progress_events import listen
from spark_jobs.run.runner import fresh_checkpoint
from spark_jobs.run.session import spark_session


def main() -> None:
    spark, settings = spark_session("empty_query"), Settings.from_environment(JOBS)
    returned: dict[int, float] = {}

    def nothing(_batch: DataFrame, number: int) -> None:
        returned[number] = time.time()

    def report(progress: Mapping[str, Any]) -> None:
        # Spark also reports progress while a query is idle.
        at = returned.pop(progress["batchId"], None)
        if at is not None:
            (source,) = progress["sources"]
            print(json.dumps({"at": at, "offsets": source["endOffset"]}), flush=True)

    listen(spark, report)
    records = kafka_records(spark, settings, EXCHANGE_OF_TOPIC, {})
    checkpoint = fresh_checkpoint(settings.checkpoint_dir, "empty_query")
    query = records.writeStream.option("checkpointLocation", checkpoint).foreachBatch(nothing)
    query.options(**ASYNC_PROGRESS).start().awaitTermination()


if __name__ == "__main__":
    main()
