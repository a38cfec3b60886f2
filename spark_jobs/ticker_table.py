"""The tickers' history: a Delta table of every normalised ticker, each exactly once.

Rows and how far the table is stand in one commit: its userMetadata holds the next offset of every
partition. So a batch that comes again changes nothing, and a job that has lost all else goes on where
the newest commit says.

    {"writer": "2f1c...", "batch": 1440, "next_offsets": {"kucoin_raw_data": {"0": 1620}}}
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import JobError
from spark_jobs.kafka_progress import beyond
from spark_jobs.sink import Counts, Sink
from spark_jobs.sources import Offsets
from spark_jobs.ticker_upkeep import TickerUpkeep
from spark_jobs.tickers.columns import IS_DEAD_LETTER, IS_TICKER, TICKER

USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
APPLICATION = "price_history"
PARTITIONED_BY = ("date", "exchange")

COLUMNS = {**TICKER, "date": "DATE"}

PROPERTIES = {
    # Nobody asks for a range of amounts; what is asked for is found without opening every file.
    "delta.dataSkippingStatsColumns": "symbol,received_at,event_time",
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
    """Writes batches of rows of columns.READ to the Delta table `<root>/tickers`; counts dead letters.

    Effectively once. One job writes to a table: a batch that meets another's commit raises TableError.
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
        """`end_of_batch` gives the offsets after the last records of the batch that is being written."""
        super().__init__()
        # Its own, for the progress that every commit carries is a setting of the session.
        self._spark = spark.newSession()
        self._path = f"{root}/tickers"
        self._end_of_batch = end_of_batch
        self._writer = uuid4().hex
        self._progress = Progress(self._writer, 0, {})
        self._upkeep = TickerUpkeep(self._spark, self._path, retention_days)

    def resume(self) -> Offsets:
        """Makes the table where nothing is; the next offset of every partition that it holds.

        Raises TableError for a folder that holds what this job did not write.
        """
        self._carry(self._progress)
        try:
            make_table(self._spark, self._path)
        except AnalysisException as error:
            raise TableError(
                f"{self._path} can't be made the tickers' table, move elsewhere what is there: {error}"
            ) from error
        self._progress = self._committed()
        return self._progress.next_offsets

    def _write_batch(self, batch: DataFrame) -> Counts:
        before = self._progress
        after = Progress(
            self._writer, before.batch + 1, {**before.next_offsets, **self._end_of_batch()}
        )
        counts = Observation()
        (
            batch.transform(beyond, before.next_offsets)
            .observe(
                counts,
                count_of("ticks", IS_TICKER, IS_DEAD_LETTER),
                count_of("dead", IS_DEAD_LETTER),
            )
            .transform(rows_of)
            .write.format("delta")
            .mode("append")
            # Of two writers that began with the same progress, Delta lets only one commit.
            .option("txnAppId", APPLICATION)
            .option("txnVersion", str(after.batch))
            .option("userMetadata", after.to_json())
            .save(self._path)
        )
        committed = self._committed()
        if committed != after:
            raise TableError(
                f"{self._path}: the newest commit is {committed}, not {after}: another price_history "
                "writes there. Stop one of them"
            )
        self._progress = after
        self._carry(after)
        self._upkeep.when_due()
        return counts.get

    def _carry(self, progress: Progress) -> None:
        """Every commit of the session says it: the upkeep's too."""
        self._spark.conf.set(USER_METADATA, progress.to_json())

    def _committed(self) -> Progress:
        """Of the newest commit that says it. Raises TableError where none does."""
        table = DeltaTable.forPath(self._spark, self._path)
        for commits in (1, COMMITS_LOOKED_AT):
            for (metadata,) in table.history(commits).select("userMetadata").collect():
                if progress := Progress.from_json(metadata):
                    return progress
        raise TableError(
            f"{self._path}: none of its newest {COMMITS_LOOKED_AT} commits says how far it is, so it "
            "was not written by this job; move it elsewhere"
        )


def count_of(name: str, *kinds: str) -> Column:
    """The number of rows of these kinds."""
    return F.count_if(F.col("kind").isin(*kinds)).alias(name)


def rows_of(read: DataFrame) -> DataFrame:
    """What can be read, in the table's columns: of each task an exchange's day, a symbol's rows together."""
    return (
        read.where(F.col("kind") == IS_TICKER)
        .select(*TICKER, F.to_date("received_at").alias("date"))
        .sortWithinPartitions(*PARTITIONED_BY, "symbol", "received_at")
    )


def make_table(spark: SparkSession, path: str) -> None:
    """Empty, where no Delta table is yet."""
    table = DeltaTable.createIfNotExists(spark).location(path).partitionedBy(*PARTITIONED_BY)
    for name, kind in COLUMNS.items():
        table = table.addColumn(name, kind)
    for name, value in PROPERTIES.items():
        table = table.property(name, value)
    table.execute()
