"""The names of the archive's objects say which offsets they hold, and of which topic.

    kucoin_raw_data/date=2026-11-22/hour=8/0.120-179_1.98-140.ckVJ5ZWORGWAxTTLoYGQ2A.parquet

holds the offsets 120 to 179 of partition 0 and 98 to 140 of partition 1, of the topic that has this id in
Kafka: a topic that is deleted and created again has another. Version 0.1.0 wrote names without an id.
An object without records, `begin.<id>.parquet`, says that a topic with this id is read from now on.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from spark_jobs.kafka_source.offsets import Offsets

# First and last offset by partition.
Ranges = Mapping[int, tuple[int, int]]

NO_RECORDS = "begin"

RANGE = re.compile(r"(\d+)\.(\d+)-(\d+)")
TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# Readers skip names that begin with "_" or ".", and S3's own guide advises against "~" in keys.
NAME = re.compile(
    rf"(?P<ranges>{NO_RECORDS}|{RANGE.pattern}(_{RANGE.pattern})*)"
    rf"(\.(?P<topic_id>{TOPIC_ID.pattern}))?\.parquet"
)


class Name(NamedTuple):
    """What the name of an object says. `topic_id` is None where Kafka's was not known."""

    ranges: Ranges
    topic_id: str | None

    @classmethod
    def read(cls, file: str) -> "Name | None":
        """Return the inverse of `file`; None for a name of another kind."""
        found = NAME.fullmatch(file)
        if not found:
            return None
        ranges = RANGE.findall(found["ranges"])
        return cls({int(p): (int(low), int(high)) for p, low, high in ranges}, found["topic_id"])

    @property
    def file(self) -> str:
        """`0.120-179_1.98-140.<id>.parquet` for {0: (120, 179), 1: (98, 140)}."""
        ranges = (f"{p}.{low}-{high}" for p, (low, high) in sorted(self.ranges.items()))
        parts = ("_".join(ranges) or NO_RECORDS, self.topic_id, "parquet")
        return ".".join(part for part in parts if part is not None)

    def repeats(self, other: "Name") -> bool:
        """Whether both hold an offset of the same partition and topic."""
        return self.topic_id == other.topic_id and any(
            low <= other.ranges[partition][1] and other.ranges[partition][0] <= high
            for partition, (low, high) in self.ranges.items()
            if partition in other.ranges
        )


def place(path: str) -> str:
    """`kucoin_raw_data/date=.../hour=.../part-0.parquet`: Spark and Hadoop write the rest differently."""
    return path.rpartition("/topic=")[2]


def staged_place(path: str) -> tuple[str, str | None]:
    """Return the folder that a staged file belongs to, and its topic's id.

    Version 0.1.0 staged files without an id.

        …/topic=kucoin_raw_data/date=2026-11-22/hour=8/topic_id=ckVJ5ZWORGWAxTTLoYGQ2A/part-0.parquet
    """
    topic, date, hour, below, *_file = place(path).split("/")
    topic_id = below.removeprefix("topic_id=")
    return f"{topic}/{date}/{hour}", topic_id if TOPIC_ID.fullmatch(topic_id) else None


def own_ids(names: Iterable[Name], current: str | None) -> Collection[str | None]:
    """Return the ids of the names that belong to the topic which Kafka has now.

    Names without an id belong to it as long as no name has another topic's. Where Kafka has no ids, so
    that `current` is None, all names do.
    """
    found = {name.topic_id for name in names}
    if current is None:
        return {None, *found}
    return {current} if found - {current, None} else {current, None}


def former_id(names: Iterable[Name], current: str | None) -> str | None:
    """Return the id of a former topic where names have one, and none of them the current one; else None."""
    found = [name.topic_id for name in names if name.topic_id is not None]
    return None if current is None or current in found or not found else found[0]


def next_offsets(topic: str, names: Iterable[Name]) -> Offsets:
    """The offset after the last of each partition that the names say."""
    offsets: dict[tuple[str, int], int] = {}
    for name in names:
        for partition, (_first, last) in name.ranges.items():
            offsets[topic, partition] = max(offsets.get((topic, partition), 0), last + 1)
    return offsets
