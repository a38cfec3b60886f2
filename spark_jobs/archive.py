"""Raw parquet on S3: every Kafka record as it was, each in exactly one object.

A batch is first written below `staging/`, then each of its files is renamed into `raw/`, to a name
that says which offsets it holds:

    raw/topic=kucoin_raw_data/date=2026-11-22/hour=18/0.120-179_1.98-140.parquet

One object per topic, hour and batch; `0.120-179` are the offsets 120 to 179 of partition 0. So the
names alone say how far the archive is, and a job that has lost all else goes on after them. A rename
on S3 is a copy that appears whole. Kafka stamps the raw topics' records as they are appended, so the
offsets of an hour lie before those of the next.
"""

import re
from collections import defaultdict
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.schemas import RECORD
from spark_jobs.sink import Counts, Sink
from spark_jobs.sources import Offsets

FOLDERS = ("topic", "date", "hour")
RANGE = re.compile(r"(\d+)\.(\d+)-(\d+)")
NAME = re.compile(rf"{RANGE.pattern}(_{RANGE.pattern})*\.parquet")


def with_folders(records: DataFrame) -> DataFrame:
    """The record, and the partition columns date and hour of Kafka's timestamp, UTC."""
    return records.select(
        *(name for name in RECORD.fieldNames() if name != "timestampType"),
        F.date_format("timestamp", "yyyy-MM-dd").alias("date"),
        F.date_format("timestamp", "HH").alias("hour"),
    )


def file_name(ranges: dict[int, tuple[int, int]]) -> str:
    """`0.120-179_1.98-140.parquet` for {0: (120, 179), 1: (98, 140)}."""
    return "_".join(f"{p}.{low}-{high}" for p, (low, high) in sorted(ranges.items())) + ".parquet"


def ranges_of(name: str) -> dict[int, tuple[int, int]]:
    """The inverse of file_name; empty for a name of another kind."""
    if not NAME.fullmatch(name):
        return {}
    return {int(p): (int(low), int(high)) for p, low, high in RANGE.findall(name)}


def place(path: str) -> str:
    """`kucoin_raw_data/date=.../hour=.../part-0.parquet`: Spark and Hadoop write the rest differently."""
    return path.rpartition("/topic=")[2]


class Archive(Sink):
    """Writes batches of Kafka records below `<root>/raw`."""

    query = "raw_archive"

    def __init__(self, spark: SparkSession, root: str) -> None:
        """`root` is a bucket, such as s3a://cryptopricesrt, or any folder that Spark can write to."""
        super().__init__()
        self._spark = spark
        # PySpark has no public name for Hadoop's file systems.
        self._jvm: Any = spark._jvm  # noqa: SLF001
        configuration = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        self._filesystem = self._path(root).getFileSystem(configuration)
        self._raw, self._staging = f"{root}/raw", f"{root}/staging/raw_archive"

    def progress(self) -> Offsets:
        """The next offset of every partition that has objects."""
        offsets: dict[tuple[str, int], int] = {}
        for path in self._files(self._raw):
            topic = path.getParent().getParent().getParent().getName().removeprefix("topic=")
            for partition, (_first, last) in ranges_of(path.getName()).items():
                offsets[topic, partition] = max(offsets.get((topic, partition), 0), last + 1)
        return offsets

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Stages the batch, then publishes it hour by hour."""
        self._stage(batch)
        self._publish()
        return {}

    def _stage(self, records: DataFrame) -> None:
        (
            records.transform(with_folders)
            .repartition(*FOLDERS)
            .sortWithinPartitions(*FOLDERS, "partition", "offset")
            .write.mode("overwrite")
            .option("compression", "zstd")
            .partitionBy(*FOLDERS)
            .parquet(self._staging)
        )

    def _publish(self) -> None:
        ranges = self._ranges_of_staged()
        for path in sorted(self._files(self._staging), key=lambda path: str(path.toString())):
            if path.getName().endswith(".parquet"):
                folder = path.getParent().toString().removeprefix(self._staging)
                self._rename(
                    path, f"{self._raw}{folder}", file_name(ranges[place(path.toString())])
                )

    def _ranges_of_staged(self) -> dict[str, dict[int, tuple[int, int]]]:
        """First and last offset by partition, of each staged file by its place."""
        found = (
            self._spark.read.parquet(self._staging)
            .groupBy(F.col("_metadata.file_path"), "partition")
            .agg(F.min("offset").alias("first"), F.max("offset").alias("last"))
        )
        ranges: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for row in found.collect():
            ranges[place(row["file_path"])][row["partition"]] = row["first"], row["last"]
        return ranges

    # Hadoop's file system, which knows S3 and local folders alike.

    def _path(self, name: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(name)

    def _rename(self, path: Any, folder: str, name: str) -> None:
        self._filesystem.mkdirs(self._path(folder))
        target = self._path(f"{folder}/{name}")
        if not self._filesystem.rename(path, target):
            raise OSError(f"{path.toString()} could not be renamed to {target.toString()}")

    def _files(self, folder: str) -> list[Any]:
        """All files below the folder, as Hadoop paths; none when it is not there."""
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return []
        found = self._filesystem.listFiles(path, True)
        files = []
        while found.hasNext():
            files.append(found.next().getPath())
        return files
