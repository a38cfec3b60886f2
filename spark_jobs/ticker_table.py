"""The tickers' history: a Delta table of every normalised ticker, each exactly once.

Rows and how far the table is stand in one commit: its userMetadata holds the next offset of every
partition. So a batch that comes again changes nothing, and a job that has lost all else goes on where
the newest commit says.

    {"writer": "2f1c...", "batch": 1440, "next_offsets": {"kucoin_raw_data": {"0": 1620}}}
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import deltalake
from delta.tables import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, CommitProperties, Transaction
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.delta_options import delta_options
from spark_jobs.errors import JobError
from spark_jobs.kafka_progress import beyond
from spark_jobs.messages import messages, ticker_files
from spark_jobs.sink import Counts, Sink
from spark_jobs.sources import Offsets
from spark_jobs.storage import Storage
from spark_jobs.ticker_upkeep import TickerUpkeep
from spark_jobs.tickers.columns import TICKER
from spark_jobs.tickers.files import PARTITIONED_BY, WITH_STATISTICS

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
APPLICATION = "price_history"
COLUMNS = {**TICKER, "date": "DATE"}

PROPERTIES = {
    # Nobody asks for a range of amounts; what is asked for is found without opening every file.
    "delta.dataSkippingStatsColumns": ",".join(WITH_STATISTICS),
    # A checkpoint writes the whole list of files again. A start reads what came after it: 100 small files.
    "delta.checkpointInterval": "100",
    # For so long an OPTIMIZEd file's parts stay for those who still read them.
    "delta.deletedFileRetentionDuration": "interval 1 day",
}

# How far back a commit of this job is looked for behind those of others, such as an OPTIMIZE by hand.
COMMITS_LOOKED_AT = 1000


class TableError(JobError):
    """The table is not what this job wrote last. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a commit says of the job that made it. `batch` counts through all its lives."""

    writer: str
    batch: int
    next_offsets: Offsets

    def to_json(self) -> str:
        topics: dict[str, dict[str, int]] = defaultdict(dict)
        for (topic, partition), offset in sorted(self.next_offsets.items()):
            topics[topic][str(partition)] = offset
        return json.dumps({"writer": self.writer, "batch": self.batch, "next_offsets": topics})

    @classmethod
    def from_json(cls, text: str | None) -> Self | None:
        """None for what another program may have written there."""
        try:
            fields = json.loads(text or "")
            offsets = {
                (topic, int(partition)): int(offset)
                for topic, partitions in fields["next_offsets"].items()
                for partition, offset in partitions.items()
            }
            return cls(fields["writer"], fields["batch"], offsets)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


class TickerTable(Sink):
    """Writes batches of Kafka records to the Delta table `<root>/tickers`; counts dead letters.

    Tasks return parquet files, which the driver stores and then commits. Effectively once. One job writes
    to a table: a batch that meets another's commit raises TableError. Files that no commit names, which a
    failure in between leaves, are deleted by the upkeep.
    """

    query = "price_history"
    prefixes = ("tickers",)

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        end_of_batch: Callable[[], Offsets],
        retention_days: int,
    ) -> None:
        """Take `root` as Hadoop writes it, such as s3a://cryptopricesrt or file:/lake.

        `end_of_batch` returns the offsets after the last records of the batch that is being written.
        """
        super().__init__()
        # Its own, for the progress that every commit carries is a setting of the session.
        self._spark = spark.newSession()
        self._path = f"{root}/tickers"
        self._storage = Storage(spark, root)
        self._end_of_batch = end_of_batch
        self._writer = uuid4().hex
        self._progress = Progress(self._writer, 0, {})
        self._upkeep = TickerUpkeep(self._spark, self._path, retention_days)
        self._table: deltalake.DeltaTable

    def resume(self) -> Offsets:
        """Make the table where nothing is. Return the next offset of every partition that it holds.

        Raise TableError for a folder that holds what this job did not write.
        """
        self._carry(self._progress)
        try:
            make_table(self._spark, self._path)
        except AnalysisException as error:
            raise TableError(
                f"{self._path} can't be made the tickers' table, move elsewhere what is there: {error}"
            ) from error
        self._table = deltalake.DeltaTable(
            self._path, storage_options=delta_options(self._spark, self._path)
        )
        self._progress = self._committed()
        return self._progress.next_offsets

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Write Kafka records with the columns of schemas.RECORD."""
        before = self._progress
        after = Progress(
            self._writer, before.batch + 1, {**before.next_offsets, **self._end_of_batch()}
        )
        # A batch of half a million tickers is 15 MB of files.
        files = (
            batch.transform(beyond, before.next_offsets).transform(messages).transform(ticker_files)
        )
        rows = files.toArrow().to_pylist()
        added = [self._stored(row) for row in rows if row["content"] is not None]
        ticks = sum(row["tickers"] or 0 for row in rows)
        dead = sum(row["dead_letters"] or 0 for row in rows)
        self._commit(added, after)
        self._progress = after
        self._carry(after)
        self._upkeep.when_due()
        return {"ticks": ticks + dead, "dead": dead}

    def _stored(self, file: Mapping[str, Any]) -> AddAction:
        """Write a row of columns.TICKER_FILE. Return how a commit names it."""
        partition = {name: file[name] for name in PARTITIONED_BY}
        folder = "/".join(f"{name}={value}" for name, value in partition.items())
        name = f"{folder}/{uuid4()}.zstd.parquet"
        self._storage.write(f"{self._path}/{name}", file["content"])
        return AddAction(
            path=name,
            size=len(file["content"]),
            partition_values=partition,
            modification_time=time.time_ns() // 1_000_000,
            data_change=True,
            stats=file["statistics"],
        )

    def _commit(self, added: Sequence[AddAction], after: Progress) -> None:
        """Commit files and progress. Raise TableError when another job has committed, before or after."""
        properties = CommitProperties(
            custom_metadata={"userMetadata": after.to_json()},
            # Two commits since the same version that both name the application exclude each other.
            app_transactions=[Transaction(APPLICATION, after.batch)],
        )
        try:
            self._table.create_write_transaction(
                [*added],
                "append",
                self._table.schema(),
                list(PARTITIONED_BY),
                commit_properties=properties,
            )
        except CommitFailedError as error:
            raise TableError(
                f"{self._path}: another price_history writes there. Stop one of them: {error}"
            ) from error
        self._table.update_incremental()
        committed = self._committed()
        if committed != after:
            raise TableError(
                f"{self._path}: the newest commit is {committed}, not {after}: another price_history "
                "writes there. Stop one of them"
            )

    def _carry(self, progress: Progress) -> None:
        """Every commit of the session says it: the upkeep's."""
        self._spark.conf.set(USER_METADATA, progress.to_json())

    def _committed(self) -> Progress:
        """Of the newest commit that says it. Raise TableError where none does."""
        for commits in (1, COMMITS_LOOKED_AT):
            for commit in self._table.history(commits):
                if progress := Progress.from_json(commit.get("userMetadata")):
                    return progress
        raise TableError(
            f"{self._path}: none of its newest {COMMITS_LOOKED_AT} commits says how far it is, so it "
            "was not written by this job; move it elsewhere"
        )


def make_table(spark: SparkSession, path: str) -> None:
    """Empty, where no Delta table is yet."""
    table = DeltaTable.createIfNotExists(spark).location(path).partitionedBy(*PARTITIONED_BY)
    for name, kind in COLUMNS.items():
        table = table.addColumn(name, kind)
    for name, value in PROPERTIES.items():
        table = table.property(name, value)
    table.execute()
