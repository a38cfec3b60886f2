"""Raw parquet on S3: every Kafka record as it was, each in exactly one object.

A batch is first written below `staging/`, whole when `_SUCCESS` is there. Then each of its files is
moved into `raw/`, to a name that says which offsets it holds:

    raw/topic=kucoin_raw_data/date=2026-11-22/hour=18/0.120-179_1.98-140.parquet

One object per topic, hour and task of a batch. A move on S3 is a copy that appears whole. A life that ends in
between leaves a staged batch: the next one moves the rest of it where it is whole, deletes it where it
is not, and then goes on after the names that it finds in `raw/`.
"""

from collections import defaultdict
from collections.abc import Collection

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.archive_names import Ranges, file_name, next_offsets, place
from spark_jobs.kafka_progress import beyond
from spark_jobs.schemas import RECORD
from spark_jobs.sink import Counts, Sink
from spark_jobs.sources import OffsetError, Offsets
from spark_jobs.storage import Storage

FOLDERS = ("topic", "date", "hour")

# Kafka's clock may have been set back over midnight.
FEWEST_DAYS = 2


def with_folders(records: DataFrame) -> DataFrame:
    """The record, and the partition columns date and hour of Kafka's timestamp, UTC."""
    return records.select(
        *(name for name in RECORD.fieldNames() if name != "timestampType"),
        F.date_format("timestamp", "yyyy-MM-dd").alias("date"),
        F.date_format("timestamp", "HH").alias("hour"),
    )


class Archive(Sink):
    """Writes batches of Kafka records below `<root>/raw`.

    Effectively once: what a batch holds below the archive's progress is left out. One job writes to a
    root; a batch that meets another's objects raises OffsetError before it is published.
    """

    query = "raw_archive"
    # The extractors' too: they only write.
    prefixes = ("landing", "raw", "staging")

    def __init__(self, spark: SparkSession, root: str) -> None:
        """`root` is a bucket, such as s3a://cryptopricesrt, or any folder that Spark can write to."""
        super().__init__()
        self._spark = spark
        self._storage = Storage(spark, root)
        self._raw, self._staging = f"{root}/raw", f"{root}/staging/raw_archive"
        self._mark = f"{self._staging}/_SUCCESS"
        self._progress: dict[tuple[str, int], int] = {}

    def resume(self, partitions: Collection[tuple[str, int]]) -> Offsets:
        """Finishes what an earlier life began; the next offset of each partition that has objects."""
        if self._storage.exists(self._mark):
            self._publish()
        self._storage.delete(self._staging)
        self._progress = self._found(partitions)
        return dict(self._progress)

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Stages the batch, then publishes it file by file."""
        self.stage(batch.transform(beyond, self._progress))
        self._refuse_another()
        self._publish()
        return {}

    def stage(self, records: DataFrame) -> None:
        """The first half of a batch: what a life that ends here leaves, the next one publishes."""
        # First the mark, so that it never stands beside a part of what it marked.
        self._storage.delete(self._mark)
        (
            records.transform(with_folders)
            .sortWithinPartitions(*FOLDERS, "partition", "offset")
            .write.mode("overwrite")
            .partitionBy(*FOLDERS)
            .parquet(self._staging)
        )

    def _refuse_another(self) -> None:
        found = self._found(self._progress)
        if newer(self._progress, found):
            raise OffsetError(
                f"{self._raw} goes to {found}, but this job wrote up to {self._progress}: "
                "another raw_archive writes there. Stop one of them"
            )

    def _publish(self) -> None:
        """Each staged file goes to its name. One that is there was copied by a life that then ended."""
        staged = [path for path, _size in self._storage.files(self._staging) if is_parquet(path)]
        ranges = self._ranges_of_staged() if staged else {}
        for path in sorted(staged):
            where = place(path)
            folder, name = where.rpartition("/")[0], file_name(ranges[where])
            target = f"{self._raw}/topic={folder}/{name}"
            if not self._storage.exists(target):
                self._storage.move(path, target)
            self._progress |= newer(self._progress, next_offsets(folder.partition("/")[0], [name]))
        self._storage.delete(self._staging)

    def _ranges_of_staged(self) -> dict[str, Ranges]:
        """First and last offset by partition, of each staged file by its place."""
        found = (
            self._spark.read.parquet(self._staging)
            .groupBy(F.col("_metadata.file_path"), "partition")
            .agg(F.min("offset").alias("first"), F.max("offset").alias("last"))
        )
        ranges: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for row in found.collect():
            ranges[place(row["file_path"])][row["partition"]] = row["first"], row["last"]
        return dict(ranges)

    def _found(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The next offset of these partitions by the names in raw/, the newest days first."""
        offsets: dict[tuple[str, int], int] = {}
        for topic in {topic for topic, _partition in partitions}:
            wanted = {place for place in partitions if place[0] == topic}
            days = reversed(self._storage.folders(f"{self._raw}/topic={topic}"))
            for count, day in enumerate(days):
                if count >= FEWEST_DAYS and wanted <= offsets.keys():
                    break
                files = self._storage.files(f"{self._raw}/topic={topic}/{day}")
                offsets |= newer(offsets, next_offsets(topic, (path for path, _size in files)))
        return offsets


def is_parquet(path: str) -> bool:
    return path.endswith(".parquet")


def newer(offsets: Offsets, others: Offsets) -> Offsets:
    """Of the others, those that lie beyond the offsets."""
    return {place: next_ for place, next_ in others.items() if next_ > offsets.get(place, 0)}
