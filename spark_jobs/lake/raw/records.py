"""Read the records of a list of objects in `raw/`, by offset or by Kafka's timestamp."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_jobs.kafka_source.offset_ranges import Range, Span, overlapping
from spark_jobs.kafka_source.offsets import Offsets, after_progress, before_ends
from spark_jobs.kafka_source.schemas import RECORD
from spark_jobs.kafka_source.time_span import TimeSpan
from spark_jobs.lake.raw.objects import RawObject

PLACE = ("topic", "partition", "offset")

# raw/ has no column timestampType. It would say whose clock stamped a record, which is always Kafka's.
ARCHIVED = StructType([field for field in RECORD if field.name != "timestampType"])


class RawRecords:
    """Records of a list of objects. `root` is the path of `raw/`, which has the objects."""

    def __init__(self, spark: SparkSession, root: str, objects: Iterable[RawObject]) -> None:
        self._spark = spark
        self._root = root
        self.objects = [*objects]
        self.ranges: Mapping[tuple[str, int], list[Range]] = self._ranges()

    def _ranges(self) -> dict[tuple[str, int], list[Range]]:
        found: dict[tuple[str, int], list[Range]] = defaultdict(list)
        for each in self.objects:
            for partition, offsets in each.ranges.items():
                found[each.topic, partition].append(offsets)
        return dict(found)

    def until(self) -> dict[tuple[str, int], int]:
        """Return, per partition, the offset after the last one in the objects."""
        return {
            topic_partition: 1 + max(last for _first, last in found)
            for topic_partition, found in self.ranges.items()
        }

    def stamped_within(self, span: TimeSpan) -> dict[tuple[str, int], Span]:
        """Return, per partition, the offsets of the records that Kafka stamped within a span of time."""
        records = self._read(self.objects)
        if records is None:
            return {}
        within = (F.col("timestamp") >= span.since) & (F.col("timestamp") < span.until)
        found = records.where(within).groupBy("topic", "partition")
        rows = found.agg(F.min("offset").alias("first"), F.max("offset").alias("last")).collect()
        return {(row["topic"], row["partition"]): (row["first"], row["last"] + 1) for row in rows}

    def without_duplicates(self, begins: Offsets, ends: Offsets) -> DataFrame | None:
        """Return the records in [`begins`, `ends`), without duplicates; None if no object has one.

        Normally no record is in two objects. So only the records of objects with overlapping offsets
        are deduplicated.
        """
        objects = self._holding(begins, ends)
        overlaps = set[str]()
        for topic, partition in ends:
            of_partition = [
                (each.ranges[partition], each.path)
                for each in objects
                if each.topic == topic and partition in each.ranges
            ]
            overlaps |= overlapping(of_partition)
        found = self._read([each for each in objects if each.path not in overlaps])
        repeated = self._read([each for each in objects if each.path in overlaps])
        if repeated is not None:
            distinct = repeated.dropDuplicates([*PLACE])
            found = distinct if found is None else found.unionByName(distinct)
        return _between(found, begins, ends)

    def with_duplicates(self, begins: Offsets, ends: Offsets) -> DataFrame | None:
        """Return the records in [`begins`, `ends`), with duplicates; None if no object has one."""
        return _between(self._read(self._holding(begins, ends)), begins, ends)

    def _holding(self, begins: Offsets, ends: Offsets) -> list[RawObject]:
        """Return the objects with an offset in [`begins`, `ends`)."""
        return [
            each
            for each in self.objects
            if any(
                first < ends.get((each.topic, partition), 0)
                and last >= begins.get((each.topic, partition), 0)
                for partition, (first, last) in each.ranges.items()
            )
        ]

    def _read(self, objects: Iterable[RawObject]) -> DataFrame | None:
        """Return the objects' records with schemas.RECORD; None if there are no objects.

        They are read by as many tasks as spark.default.parallelism says, not by one per slot of the master:
        a task has some 100 MB of messages in memory, and local[4] would run four at once.
        """
        paths = sorted(each.path for each in objects)
        if not paths:
            return None
        read = self._spark.read.schema(ARCHIVED).option("basePath", self._root).parquet(*paths)
        tasks = self._spark.sparkContext.defaultParallelism
        records = read.coalesce(tasks).withColumn("timestampType", F.lit(None).cast("int"))
        return records.select(*RECORD.fieldNames())


def _between(records: DataFrame | None, begins: Offsets, ends: Offsets) -> DataFrame | None:
    """Return the records in [`begins`, `ends`); None for None."""
    if records is None:
        return None
    return records.transform(after_progress, begins).transform(before_ends, ends)
