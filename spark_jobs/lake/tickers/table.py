"""Write every normalised ticker to a Delta table, each exactly once.

Rows and progress are in one commit, so a repeated batch changes nothing. Every start resumes from the
progress in the newest commit, never from Spark's checkpoint: see progress.py.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from deltalake.transaction import AddAction
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.kafka_source.offsets import Offsets, after_progress
from spark_jobs.kafka_source.topic_ids import (
    TopicIds,
    recreated_topics,
    refuse_recreated_topics,
)
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.sizes import LakeSizes
from spark_jobs.lake.tickers.log import TickerLog, added_file
from spark_jobs.lake.tickers.progress import Progress
from spark_jobs.lake.tickers.upkeep import TickerUpkeep
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Counts, Sink
from spark_jobs.tickers.messages import messages, ticker_files


class TickerTable(Sink):
    """Sink that writes batches of Kafka records to the Delta table `<root>/tickers`, effectively once.

    Tasks return parquet files, which the driver stores and then commits. If the driver fails before the
    commit, the upkeep deletes the stored files later. Only one job may write to a table: if another job
    has committed, a batch raises TableError. Dead letters are only counted.
    """

    query = "price_history"

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        end_of_batch: Callable[[], Offsets],
        retention_days: int,
    ) -> None:
        """`root` is a Hadoop path, such as s3a://cryptopricesrt or file:/lake.

        `end_of_batch` returns the offsets after the last records of the batch that is being written.
        """
        super().__init__()
        self._root, self._path = root, f"{root}/tickers"
        self._storage = HadoopFiles(spark, root)
        self._options = delta_options(spark, self._path)
        self._end_of_batch = end_of_batch
        self._retention_days = retention_days
        self._writer = uuid4().hex
        self._log: TickerLog
        self._topic_ids: TopicIds

    def resume(self, ids: TopicIds) -> Offsets:
        """Return the next offset of every partition that was read.

        `ids` are the current ids of Kafka's topics. Raise TopicError for a topic whose id is not that
        of the topic that was read, and TableError for a table that this job can't write to.
        """
        self._log = self._open_log()
        read = self._log.progress.topic_ids
        refuse_recreated_topics(read, ids, "tickers/")
        self._topic_ids = {**read, **ids}
        return self._log.progress.next_offsets

    def accept(self, ids: TopicIds) -> list[str]:
        """Start over with topics whose id is not that of the topic that was read. Return their names.

        The rows of the former topics stay in the table.
        """
        log = self._open_log()
        before = log.progress
        accepted = recreated_topics(before.topic_ids, ids)
        if accepted:
            kept = {
                (topic, partition): offset
                for (topic, partition), offset in before.next_offsets.items()
                if topic not in accepted
            }
            known = {**before.topic_ids, **ids}
            log.append([], Progress(self._writer, before.batch + 1, kept, known))
        return accepted

    def start_upkeep(self) -> None:
        """Start the upkeep's thread. `resume` must have been called."""
        TickerUpkeep(self._log, self._path, self._options, self._retention_days).start()

    def progress(self) -> Offsets:
        return self._log.progress.next_offsets

    def report_to(self, metrics: JobMetrics) -> None:
        LakeSizes(self._storage, self._root, ("tickers",), metrics).start()

    def _open_log(self) -> TickerLog:
        return TickerLog.open(self._path, self._options, self._writer)

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Write Kafka records with the columns of schemas.RECORD."""
        before = self._log.progress
        after = Progress(
            self._writer,
            before.batch + 1,
            {**before.next_offsets, **self._end_of_batch()},
            self._topic_ids,
        )
        files = (
            batch.transform(after_progress, before.next_offsets)
            .transform(messages)
            .transform(ticker_files)
        )
        added, counts = store_files(files_of_batch(files), self._storage, self._path)
        self._log.append(added, after)
        return counts


def store_files(
    rows: Iterable[Mapping[str, Any]], storage: HadoopFiles, path: str
) -> tuple[list[AddAction], Counts]:
    """Store the files that the rows contain (columns.TICKER_FILE) below the table's path. Commit nothing.

    Return their add actions, and the counts of items: `ticks` includes the dead ones. Each file is stored
    before the next row is requested, so an iterator bounds how many are in memory.
    """
    added: list[AddAction] = []
    tickers = dead = 0
    for row in rows:
        tickers += row["tickers"] or 0
        dead += row["dead_letters"] or 0
        if row["content"] is not None:
            file = added_file(row, time.time_ns() // 1_000_000)
            storage.write(f"{path}/{file.path}", row["content"])
            added.append(file)
    return added, {"ticks": tickers + dead, "dead": dead}


def files_of_batch(files: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of columns.TICKER_FILE of all tasks, which run in parallel.

    The driver holds all files at once, so only for batches of limited size: half a million tickers take
    15 MB.
    """
    return files.toArrow().to_pylist()


def files_by_task(files: DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of columns.TICKER_FILE of one task after the other, for any number of tasks.

    The driver holds the results of two tasks: one runs while the files of the one before it are used.
    """
    for row in files.toLocalIterator(prefetchPartitions=True):
        yield row.asDict()
