"""Read and write a sink's progress in kafka_progress, and select the rows of a batch that are beyond it.

The rows are already reduced: each has `topic`, `partition`, and the `first_offset` and `last_offset` of
the messages that it was made of.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values

from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.topic_ids import TopicIds, recreated_topics


def locked_progress(statements: cursor, topics: Sequence[str]) -> Offsets:
    """Lock the rows of these topics, and return the next offset of each partition.

    Rows of other topics are not locked: they belong to another sink.
    """
    statements.execute(
        "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic = ANY(%s) FOR UPDATE",
        (list(topics),),
    )
    return {(topic, partition): offset for topic, partition, offset in statements.fetchall()}


class ProgressError(JobError):
    """kafka_progress is not what this process committed. The next start resumes from it."""


def raise_if_behind(progress: Offsets, committed: Offsets) -> None:
    """Raise ProgressError if Postgres is behind what this process has committed.

    Postgres has lost the messages in between, and Spark does not read them again by itself.
    """
    for (topic, partition), next_offset in committed.items():
        found = progress.get((topic, partition), 0)
        if found < next_offset:
            raise ProgressError(
                f"kafka_progress has next_offset {found} for {topic}/{partition}, but this job has "
                f"committed {next_offset}: Postgres was restored, or failed over to a replica that "
                "lacked the newest commits. Nothing was written; the next start resumes at the stored offset"
            )


def rows_after_progress(rows: pa.Table, progress: Offsets) -> pa.Table:
    """Return the rows whose messages are all at or after the progress.

    Raise ProgressError for a row with messages on both sides of it: a reduced row can't be split.
    """
    partitions = rows.select(["topic", "partition"]).to_pylist()
    next_offsets = pa.array(
        [progress.get((row["topic"], row["partition"]), 0) for row in partitions], pa.int64()
    )
    is_cut = pc.and_(
        pc.less(rows["first_offset"], next_offsets),
        pc.less_equal(next_offsets, rows["last_offset"]),
    )
    for cut in rows.filter(is_cut).slice(0, 1).to_pylist():
        raise ProgressError(
            f"kafka_progress has next_offset {progress[cut['topic'], cut['partition']]} for "
            f"{cut['topic']}/{cut['partition']}, within a row that was reduced from the messages "
            f"{cut['first_offset']} to {cut['last_offset']}: another program has changed it. "
            "Nothing of the batch was written; the next start resumes at the stored offset"
        )
    return rows.filter(pc.greater_equal(rows["first_offset"], next_offsets))


def next_offsets(rows: pa.Table) -> Offsets:
    """Return the offset after the last one of each partition, sorted."""
    last = rows.group_by(["topic", "partition"]).aggregate([("last_offset", "max")])
    return {
        (row["topic"], row["partition"]): row["last_offset_max"] + 1
        for row in last.sort_by([("topic", "ascending"), ("partition", "ascending")]).to_pylist()
    }


def stored_topic_ids(statements: cursor, topics: Sequence[str]) -> dict[str, str]:
    """Return the stored id of each topic; topics without one are left out."""
    statements.execute(
        "SELECT DISTINCT topic, topic_id FROM kafka_progress"
        " WHERE topic = ANY(%s) AND topic_id IS NOT NULL",
        (list(topics),),
    )
    return dict(statements.fetchall())


def store_progress(statements: cursor, offsets: Offsets, ids: TopicIds) -> None:
    """Store the next offsets, and the topic's id if it is in `ids`."""
    execute_values(
        statements,
        "INSERT INTO kafka_progress (topic, partition, next_offset, topic_id) VALUES %s"
        " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset,"
        " topic_id = coalesce(EXCLUDED.topic_id, kafka_progress.topic_id)",
        [
            (topic, partition, next_offset, ids.get(topic))
            for (topic, partition), next_offset in offsets.items()
        ],
    )


def delete_replaced_progress(statements: cursor, ids: TopicIds) -> list[str]:
    """Delete the progress in topics whose stored id is not the one in `ids`. Return their names.

    A partition that has not been read since version 0.1.0 has no id: it is deleted with the others of
    its topic.
    """
    former = recreated_topics(stored_topic_ids(statements, [*ids]), ids)
    statements.execute("DELETE FROM kafka_progress WHERE topic = ANY(%s)", (former,))
    return former
