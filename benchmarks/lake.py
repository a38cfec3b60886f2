"""What the lake costs: python -m benchmarks.lake TICKS, on the stack that is up, with its jobs at rest.

Fills the raw topics with what the replay exchange would say, and writes all that they hold to a prefix
of its own, once raw and once as tickers: ticks a second, seconds of CPU, bytes per million ticks. The
prefix is deleted at the end.
"""

import gzip
import sys
import time
from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

import psutil
from pyspark.sql import DataFrame

from benchmarks.simulated import fill, simulated_seconds
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.archive import Archive
from spark_jobs.batch_end import batch_end
from spark_jobs.items import explode_items
from spark_jobs.lake import MESSAGES_PER_BATCH, lake_query, lake_root
from spark_jobs.normalise import normalise
from spark_jobs.running import fresh_checkpoint
from spark_jobs.session import spark_session
from spark_jobs.sink import Sink
from spark_jobs.sources import kafka_records, partitions_of_topics
from spark_jobs.storage import Storage
from spark_jobs.ticker_table import TickerTable

MILLION = 1_000_000


def measured(ticks: int, run: Callable[[], None]) -> str:
    processes = [psutil.Process(), *psutil.Process().parents()[:1], *psutil.Process().children()]

    def cpu() -> float:
        times = [process.cpu_times() for process in processes]
        return sum(each.user + each.system for each in times)

    began, used = time.monotonic(), cpu()
    run()
    seconds = time.monotonic() - began
    return (
        f"{ticks / seconds:9,.0f} ticks/s {(cpu() - used) / ticks * MILLION:6.1f} s CPU per million"
    )


def gzip_bytes() -> float:
    """Bytes per tick of the same messages as gzip JSON, a million ticks or so."""
    size = ticks = 0
    for second in simulated_seconds():
        size += len(gzip.compress(b"\n".join(message[3] for message in second)))
        ticks += sum(message[4] for message in second)
        if ticks >= MILLION / 10:
            return size / ticks
    raise AssertionError


def main(ticks: int) -> None:
    settings = Settings.from_environment()
    servers = settings.kafka_bootstrap_servers
    ticks = fill(settings, ticks)
    spark = spark_session("benchmark")
    root = f"{lake_root(settings)}/benchmark-{time.time_ns()}"
    storage = Storage(spark, root)

    def write(rows: DataFrame, sink: Sink, checkpoint: str) -> None:
        query = lake_query(rows, sink, checkpoint).trigger(availableNow=True).start()
        query.awaitTermination()

    with TemporaryDirectory() as folder:
        archive = Archive(spark, root)
        archive.resume(partitions_of_topics(servers, EXCHANGE_OF_TOPIC))
        checkpoint = fresh_checkpoint(folder, "tickers")
        table = TickerTable(spark, root, partial(batch_end, checkpoint), retention_days=90)
        table.resume()
        records = kafka_records(spark, servers, EXCHANGE_OF_TOPIC, {}, MESSAGES_PER_BATCH)
        tickers = records.transform(explode_items).transform(normalise)
        raw = partial(write, records, archive, fresh_checkpoint(folder, "raw"))
        for name, run in (("raw", raw), ("tickers", partial(write, tickers, table, checkpoint))):
            line = measured(ticks, run)
            size = sum(file.size for file in storage.files(f"{root}/{name}"))
            print(f"{name:10} {line} {size / ticks:6.1f} MB per million")
    print(f"{'gzip JSON':10} {'':44} {gzip_bytes():6.1f} MB per million")
    storage.delete(root)


if __name__ == "__main__":
    main(int(sys.argv[1]))
