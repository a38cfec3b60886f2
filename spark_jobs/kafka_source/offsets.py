"""Convert offsets by topic and partition to and from JSON, and filter records by them."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

Offsets = Mapping[tuple[str, int], int]
"""Next offset to read, by topic and partition."""

PartitionOffsets = Mapping[str, Mapping[str, int]]
"""The same in the form of Spark's Kafka source: {"kucoin_raw_data": {"0": 1620}}."""


def by_topic(offsets: Offsets) -> dict[str, dict[str, int]]:
    """Return offsets in the form of JSON, sorted: `{"kucoin_raw_data": {"0": 1620, "1": 1614}}`."""
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        found.setdefault(topic, {})[str(partition)] = offset
    return found


def offsets_of(topics: PartitionOffsets) -> Offsets:
    """Return the inverse of `by_topic`."""
    return {
        (topic, int(partition)): int(offset)
        for topic, partitions in topics.items()
        for partition, offset in partitions.items()
    }


def after_progress(batch: DataFrame, progress: Offsets) -> DataFrame:
    """Return the records at or after the next offsets; all records of a partition without one."""
    return batch.where(F.col("offset") >= _of_partition(progress))


def before_ends(batch: DataFrame, ends: Offsets) -> DataFrame:
    """Return the records before the ends; no records of a partition without one."""
    return batch.where(F.col("offset") < _of_partition(ends))


def _of_partition(offsets: Offsets) -> Column:
    """Return the offset of a row's partition, 0 if there is none.

    The offsets are one array per topic: single numbers would become part of the code that Spark
    generates, and each batch would compile it again.
    """
    found = (
        F.when(F.col("topic") == topic, F.get(F.lit(of_topic), F.col("partition")))
        for topic, of_topic in _arrays(offsets).items()
    )
    return F.coalesce(*found, F.lit(0))


def _arrays(offsets: Offsets) -> dict[str, list[int]]:
    """Return the offsets of each topic, indexed by partition; 0 if there is none."""
    count = 1 + max((partition for _topic, partition in offsets), default=0)
    topics = sorted({topic for topic, _partition in offsets})
    return {topic: [offsets.get((topic, n), 0) for n in range(count)] for topic in topics}
