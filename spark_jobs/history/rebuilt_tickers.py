"""Rebuild `tickers/` from all records that Kafka and `raw/` hold, and replace its rows in one commit.

Readers see the old rows until that commit. A rebuild that ends early changes nothing; the upkeep deletes
its files later.
"""

import json
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import deltalake
from deltalake.transaction import AddAction
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.history.history import all_history
from spark_jobs.history.reach import NOWHERE, Reach, is_before, is_former, is_outside, whole_reach
from spark_jobs.history.steps import in_steps
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import log_lost
from spark_jobs.kafka_source.topic_ids import refuse_recreated_topics, topic_ids
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.tickers.log import TableFile, TickerLog
from spark_jobs.lake.tickers.missing_files import missing_files
from spark_jobs.lake.tickers.progress import Progress
from spark_jobs.lake.tickers.table import files_by_task, files_of_batch, store_files
from spark_jobs.tickers.columns import TICKER, ddl
from spark_jobs.tickers.messages import files_of_rows, messages, ticker_files

log = logging.getLogger(__name__)

MESSAGES_PER_STEP = 8_000
"""About two million tickers, whose files take 60 MB in the driver."""

BYTES_PER_TASK = 16 * 1024**2
"""Bytes of the table's files whose rows one task copies. The driver holds the results of two tasks."""


class Rebuilt(NamedTuple):
    begins: Offsets
    """First offset of each partition that was read."""
    former: Collection[str]
    """Topics that were created again, and of whose former topic the table keeps rows."""


def rebuild_tickers(
    spark: SparkSession,
    settings: Settings,
    now: datetime,
) -> Rebuilt | None:
    """Rebuild the rows of all records up to the table's progress.

    Return None if there is no table. Rows of other records stay. If records after the progress have
    expired in Kafka, all records up to Kafka's end are read, and the progress moves there. Files that the
    store lacks are removed from the table; their rows are rebuilt as far as their records are read.
    Raise TopicError, OffsetError and HistoryError as `rebuild` does, and TableError if price_history writes
    meanwhile.
    """
    path = f"{lake_root(settings)}/tickers"
    options = delta_options(spark, path)
    if not deltalake.DeltaTable.is_deltatable(path, options):
        return None
    table = TickerLog.open(path, options, uuid4().hex)
    before = table.progress
    ids = topic_ids(settings, EXCHANGE_OF_TOPIC)
    refuse_recreated_topics(before.topic_ids, ids, "tickers/")
    history = all_history(spark, settings)
    ends = history.ends_after(before.next_offsets)
    reach = whole_reach(history, ends, now, {})
    history.refuse_incomplete(reach.begins, ends)
    log_lost(reach.begins, before.next_offsets, NOWHERE)
    storage = HadoopFiles(spark, path)
    added: list[AddAction] = []
    steps = [*in_steps(reach.begins, ends, MESSAGES_PER_STEP)]
    for number, (begins, batch_ends) in enumerate(steps):
        records = history.all_records(begins, batch_ends)
        rebuilt = records.transform(messages).transform(ticker_files)
        files, counts = store_files(files_of_batch(rebuilt), storage, path)
        added += files
        log.info("rebuilt tickers batch=%d of=%d ticks=%d", number + 1, len(steps), counts["ticks"])
    listed = table.files()
    missing = missing_files(storage, path, (each.path for each in listed))
    for name in sorted(missing):
        log.warning("removed from the table, missing in the store file=%s", name)
    gone = [each for each in listed if each.path in missing]
    reach = _with_earliest(spark, path, added, reach)
    present = [each for each in listed if each.path not in missing]
    old, kept, former = _replaced(spark, path, present, reach)
    if kept is not None:
        # `kept` may be days of rows: a finished day's files are sorted by symbol, so if its first records
        # have expired, all of its files are mixed.
        files, _counts = store_files(files_by_task(kept.transform(files_of_rows)), storage, path)
        added += files
    reached = {each: end for each, end in ends.items() if end > 0}
    known = {**before.topic_ids, **ids}
    table.replace([*old, *gone], added, Progress(before.writer, before.batch + 1, reached, known))
    table.record_rebuild(reach.begins, former)
    return Rebuilt(reach.begins, former)


def _with_earliest(
    spark: SparkSession, path: str, added: Sequence[AddAction], reach: Reach
) -> Reach:
    """Return the reach with the earliest receipt of each partition in the files that were added.

    If an extractor's clock was ahead at the first message, messages after it have earlier receipts.
    """
    latest = max(reach.received.values())
    early = [each for each in added if _first_received(each) < latest]
    if not early:
        return reach
    found = _rows(spark, path, early).groupBy("topic", "partition").agg(F.min("received_at"))
    received = {**reach.received}
    for topic, partition, earliest in found.collect():
        received[topic, partition] = min(received[topic, partition], earliest.astimezone(UTC))
    return reach._replace(received=received)


def _first_received(file: AddAction) -> datetime:
    return datetime.fromisoformat(json.loads(file.stats)["minValues"]["received_at"])


def _replaced(
    spark: SparkSession, path: str, files: list[TableFile], reach: Reach
) -> tuple[list[TableFile], DataFrame | None, Collection[str]]:
    """Return the files with rows that were read again, the other rows of these files, and Rebuilt.former."""
    if not files:
        return [], None, ()
    rows = _rows(spark, path, files)
    is_read = ~(is_outside(reach) | is_former(reach))
    # Evaluated once per row: a test of every partition's offsets takes longer than the aggregation.
    seen = rows.select("file", "topic", is_read.alias("is_read"), is_before(reach).alias("before"))
    counted = seen.groupBy("file").agg(
        F.count_if("is_read").alias("read"),
        F.count_if(~F.col("is_read")).alias("others"),
        F.collect_set(F.when(~F.col("is_read") & ~F.col("before"), F.col("topic"))).alias("former"),
    )
    found = {row["file"]: row for row in counted.collect()}
    former = {topic for row in found.values() for topic in row["former"]}
    old = [each for each in files if found[_name(each)]["read"]]
    mixed = [each for each in old if found[_name(each)]["others"]]
    if not mixed:
        return old, None, former
    # Spark has this setting per session, not per reader. A separate session keeps it from all other reads.
    session = spark.newSession()
    session.conf.set("spark.sql.files.maxPartitionBytes", BYTES_PER_TASK)
    return old, _rows(session, path, mixed).where(~is_read), former


def _rows(
    spark: SparkSession, path: str, files: Sequence[TableFile] | Sequence[AddAction]
) -> DataFrame:
    """Return the rows of files of the table, with the name of each row's file."""
    return (
        spark.read.schema(f"{ddl(TICKER)}, date STRING")
        .option("basePath", path)
        .parquet(*(f"{path}/{each.path}" for each in files))
        .withColumn("file", F.col("_metadata.file_name"))
    )


def _name(file: TableFile) -> str:
    return file.path.rpartition("/")[2]
