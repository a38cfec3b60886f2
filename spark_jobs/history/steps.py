"""Read the history a step at a time: Kafka may delete records between two steps.

A step takes seconds. It asks anew what Kafka holds, and reads the rest out of `raw/`.
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
"""Offsets from the first ones up to, not including, the second ones."""


class Places(NamedTuple):
    """Messages of a partition, none before `first` and none after `last`."""

    topic: str
    partition: int
    first: int
    last: int


def in_steps(begins: Offsets, ends: Offsets, size: int) -> Iterator[Step]:
    """Yield steps of about `size` offsets, which together are all.

    Each takes the same share of every partition, so the times in a step are close to each other. A partition
    without a begin or an end is left out.
    """
    lengths = {
        place: max(0, ends[place] - begin) for place, begin in begins.items() if place in ends
    }
    count = -(-sum(lengths.values()) // size)

    def cut(number: int) -> Offsets:
        return {
            place: begins[place] + length * number // count for place, length in lengths.items()
        }

    for number in range(count):
        yield cut(number), cut(number + 1)


def places_by_block(messages: DataFrame) -> list[Places]:
    """Return the places of messages with topic, partition and offset, one for each block of offsets."""
    block = F.expr(f"offset DIV {BLOCK}")
    by_block = messages.groupBy("topic", "partition", block.alias("block"))
    rows = by_block.agg(F.min("offset").alias("first"), F.max("offset").alias("last")).collect()
    return [Places(row["topic"], row["partition"], row["first"], row["last"]) for row in rows]


def narrowed(steps: Iterable[Step], wanted: Sequence[Places]) -> Iterator[Step]:
    """Yield of each step the fewest offsets that have all that is wanted of it; no step without any."""
    for begins, ends in steps:
        firsts: dict[tuple[str, int], int] = {}
        afters: dict[tuple[str, int], int] = {}
        for topic, partition, first, last in wanted:
            place = topic, partition
            begin, end = max(first, begins[place]), min(last + 1, ends[place])
            if begin < end:
                firsts[place] = min(begin, firsts.get(place, begin))
                afters[place] = max(end, afters.get(place, end))
        if firsts:
            yield firsts, afters


def written(
    spark: SparkSession, parts: Iterable[DataFrame], schema: StructType | str, folder: Path
) -> DataFrame:
    """Write the rows of one part after the other to files, and return the rows of all.

    A part is made after the one before it is written. So an iterator of steps reads each when it is due.
    """
    folder.mkdir()
    for part in parts:
        part.write.mode("append").parquet(folder.as_uri())
    return spark.read.schema(schema).parquet(folder.as_uri())
