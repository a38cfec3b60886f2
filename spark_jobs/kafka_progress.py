"""How far a sink is: its rows of the table kafka_progress, and what of a batch lies beyond them.

A batch is reduced before it comes here. Each of its rows has `topic` and `partition`, and the
`first_offset` and `last_offset` of what it stands for.
"""

from collections.abc import Sequence

import pyarrow as pa
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.sources import Offsets


def locked_progress(statements: cursor, topics: Sequence[str]) -> Offsets:
    """The next offset of each partition. Other topics' rows stay free: another sink locks them."""
    statements.execute(
        "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic = ANY(%s) FOR UPDATE",
        (list(topics),),
    )
    return {(topic, partition): offset for topic, partition, offset in statements.fetchall()}


def overlaps(rows: pa.Table, progress: Offsets) -> bool:
    places = rows.select(["topic", "partition", "first_offset"]).to_pylist()
    return any(
        row["first_offset"] < progress.get((row["topic"], row["partition"]), 0) for row in places
    )


def beyond(batch: DataFrame, progress: Offsets) -> DataFrame:
    """What was not written yet.

    Offsets stand in an array for each topic: a number by itself would be a part of the code that Spark
    generates, so this would be new code, and slow at first, for each batch.
    """
    begins = (
        F.when(F.col("topic") == topic, F.get(F.lit(offsets), F.col("partition")))
        for topic, offsets in _by_topic(progress).items()
    )
    return batch.where(F.col("offset") >= F.coalesce(*begins, F.lit(0)))


def _by_topic(progress: Offsets) -> dict[str, list[int]]:
    """The next offsets of each topic, each in the place of its partition's number; 0 where there is none."""
    count = 1 + max((partition for _topic, partition in progress), default=0)
    topics = sorted({topic for topic, _partition in progress})
    return {topic: [progress.get((topic, n), 0) for n in range(count)] for topic in topics}


def next_offsets(rows: pa.Table) -> Offsets:
    """The offset after the last of each partition, sorted."""
    last = rows.group_by(["topic", "partition"]).aggregate([("last_offset", "max")])
    return {
        (row["topic"], row["partition"]): row["last_offset_max"] + 1
        for row in last.sort_by([("topic", "ascending"), ("partition", "ascending")]).to_pylist()
    }


def move_on(statements: cursor, offsets: Offsets) -> None:
    execute_values(
        statements,
        "INSERT INTO kafka_progress (topic, partition, next_offset) VALUES %s"
        " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset",
        [(*place, next_offset) for place, next_offset in offsets.items()],
    )
