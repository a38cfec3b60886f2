"""Split the history into steps that are read within seconds, because Kafka may delete records meanwhile.

For each step, History.records asks Kafka which offsets it has now, and reads the others from `raw/`.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.tickers.letters.spans import BLOCK

Step = tuple[Offsets, Offsets]
"""The offsets in [begins, ends) of each partition."""


class OffsetSpan(NamedTuple):
    """A span of a partition's offsets, `first` and `last` included. Not every message in it is wanted."""

    topic: str
    partition: int
    first: int
    last: int


def in_steps(begins: Offsets, ends: Offsets, size: int) -> Iterator[Step]:
    """Yield steps of about `size` offsets, which together have all offsets.

    Each step has the same share of every partition, so the times in a step are close to each other.
    Partitions without a begin or an end are left out.
    """
    lengths = {
        topic_partition: max(0, ends[topic_partition] - begin)
        for topic_partition, begin in begins.items()
        if topic_partition in ends
    }
    count = -(-sum(lengths.values()) // size)

    def cut(number: int) -> Offsets:
        return {
            topic_partition: begins[topic_partition] + length * number // count
            for topic_partition, length in lengths.items()
        }

    for number in range(count):
        yield cut(number), cut(number + 1)


def spans_by_block(messages: DataFrame) -> list[OffsetSpan]:
    """Return the first and last offset of the messages in each block of offsets."""
    block = F.expr(f"offset DIV {BLOCK}")
    by_block = messages.groupBy("topic", "partition", block.alias("block"))
    rows = by_block.agg(F.min("offset").alias("first"), F.max("offset").alias("last")).collect()
    return [OffsetSpan(row["topic"], row["partition"], row["first"], row["last"]) for row in rows]


def narrowed(steps: Iterable[Step], wanted: Sequence[OffsetSpan]) -> Iterator[Step]:
    """Yield each step cut to the span from its first to its last wanted offset; leave out empty ones."""
    for begins, ends in steps:
        firsts: dict[tuple[str, int], int] = {}
        afters: dict[tuple[str, int], int] = {}
        for topic, partition, first, last in wanted:
            topic_partition = topic, partition
            begin, end = max(first, begins[topic_partition]), min(last + 1, ends[topic_partition])
            if begin < end:
                firsts[topic_partition] = min(begin, firsts.get(topic_partition, begin))
                afters[topic_partition] = max(end, afters.get(topic_partition, end))
        if firsts:
            yield firsts, afters


def written(
    spark: SparkSession, parts: Iterable[DataFrame], schema: StructType | str, folder: Path
) -> DataFrame:
    """Write the rows of one part after the other to files, and return the rows of all parts.

    A part is requested after the one before it is written, so an iterator can read each step when it is
    due.
    """
    folder.mkdir()
    for part in parts:
        part.write.mode("append").parquet(folder.as_uri())
    return spark.read.schema(schema).parquet(folder.as_uri())
