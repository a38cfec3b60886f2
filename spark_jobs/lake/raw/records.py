"""The records in `raw/`: those that a list of objects holds, by offsets or by the time of Kafka's stamp."""

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

# raw/ does not keep by whose clock a record was stamped: it is always Kafka's.
ARCHIVED = StructType([field for field in RECORD if field.name != "timestampType"])


class RawRecords:
    """The records of some objects below `root`, the folder raw of the lake."""

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
        """Return the offset after the last of each partition that an object holds."""
        return {
            place: 1 + max(last for _first, last in found) for place, found in self.ranges.items()
        }

    def stamped_within(self, span: TimeSpan) -> dict[tuple[str, int], Span]:
        """Return the offsets of each partition whose records Kafka stamped within a span of time."""
        records = self._read(self.objects)
        if records is None:
            return {}
        within = (F.col("timestamp") >= span.since) & (F.col("timestamp") < span.until)
        found = records.where(within).groupBy("topic", "partition")
        rows = found.agg(F.min("offset").alias("first"), F.max("offset").alias("last")).collect()
        return {(row["topic"], row["partition"]): (row["first"], row["last"] + 1) for row in rows}

    def each_once(self, begins: Offsets, ends: Offsets) -> DataFrame | None:
        """Return the records from `begins` up to, not including, `ends`; None where no object has one.

        Objects hold a record twice only if something went wrong, so only those that overlap are compared.
        """
        objects = self._holding(begins, ends)
        doubled = set[str]()
        for topic, partition in ends:
            of_partition = [
                (each.ranges[partition], each.path)
                for each in objects
                if each.topic == topic and partition in each.ranges
            ]
            doubled |= overlapping(of_partition)
        found = self._read([each for each in objects if each.path not in doubled])
        again = self._read([each for each in objects if each.path in doubled])
        if again is not None:
            again = again.dropDuplicates([*PLACE])
            found = again if found is None else found.unionByName(again)
        return (
            None
            if found is None
            else found.transform(after_progress, begins).transform(before_ends, ends)
        )

    def as_often_as_there(self, begins: Offsets, ends: Offsets) -> DataFrame | None:
        """Return the same with its repetitions."""
        found = self._read(self._holding(begins, ends))
        return (
            None
            if found is None
            else found.transform(after_progress, begins).transform(before_ends, ends)
        )

    def _holding(self, begins: Offsets, ends: Offsets) -> list[RawObject]:
        """The objects that hold a record of the span."""
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
        """Columns of schemas.RECORD; None without objects."""
        paths = sorted(each.path for each in objects)
        if not paths:
            return None
        read = self._spark.read.schema(ARCHIVED).option("basePath", self._root).parquet(*paths)
        records = read.withColumn("timestampType", F.lit(None).cast("int"))
        return records.select(*RECORD.fieldNames())
