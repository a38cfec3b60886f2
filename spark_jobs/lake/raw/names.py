"""Read and write the names of the archive's objects, which contain their offsets and the topic's id.

    kucoin_raw_data/date=2026-11-22/hour=8/0.120-179_1.98-140.ckVJ5ZWORGWAxTTLoYGQ2A.parquet

has the offsets 120 to 179 of partition 0 and 98 to 140 of partition 1, of the topic with this id in
Kafka. A topic that is deleted and created again gets another id. Version 0.1.0 wrote names without an
id. An object without records, `begin.<id>.parquet`, marks that a topic with this id is read from now on.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from spark_jobs.kafka_source.offsets import Offsets

Ranges = Mapping[int, tuple[int, int]]
"""First and last offset by partition."""

NO_RECORDS = "begin"

LONGEST_NAME = 255
"""Maximum length of a name on disks and in MinIO, in bytes."""

RANGE = re.compile(r"(\d+)\.(\d+)-(\d+)")
TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# Readers skip names that begin with "_" or ".". The parts are separated by "." and "_", because S3's guide
# advises against "~".
NAME = re.compile(
    rf"(?P<ranges>{NO_RECORDS}|{RANGE.pattern}(_{RANGE.pattern})*)"
    rf"(\.(?P<topic_id>{TOPIC_ID.pattern}))?\.parquet"
)


class Name(NamedTuple):
    """Parsed name of an object. `topic_id` is None if Kafka's was not known."""

    ranges: Ranges
    topic_id: str | None

    @classmethod
    def read(cls, file: str) -> "Name | None":
        """Parse a file name, the inverse of `file`. Return None for any other name."""
        found = NAME.fullmatch(file)
        if not found:
            return None
        ranges = RANGE.findall(found["ranges"])
        return cls({int(p): (int(low), int(high)) for p, low, high in ranges}, found["topic_id"])

    @property
    def file(self) -> str:
        """Return `0.120-179_1.98-140.<id>.parquet` for {0: (120, 179), 1: (98, 140)}."""
        ranges = (f"{p}.{low}-{high}" for p, (low, high) in sorted(self.ranges.items()))
        parts = ("_".join(ranges) or NO_RECORDS, self.topic_id, "parquet")
        return ".".join(part for part in parts if part is not None)

    def repeats(self, other: "Name") -> bool:
        """Return whether both names contain the same offset of a partition and topic."""
        return self.topic_id == other.topic_id and any(
            low <= other.ranges[partition][1] and other.ranges[partition][0] <= high
            for partition, (low, high) in self.ranges.items()
            if partition in other.ranges
        )


def path_in_raw(path: str) -> str:
    """Return the part after `/topic=`: `kucoin_raw_data/date=.../hour=.../part-0.parquet`.

    Spark and Hadoop write the part before it differently.
    """
    return path.rpartition("/topic=")[2]


def staged_place(path: str) -> tuple[str, str | None]:
    """Return the folder that a staged file belongs to, and its topic's id.

        …/topic=kucoin_raw_data/date=2026-11-22/hour=8/topic_id=<id>/partitions=0/part-0.parquet

    Version 0.1.0 staged files without an id, and with all partitions of the topic.
    """
    topic, date, hour, below, *_file = path_in_raw(path).split("/")
    topic_id = below.removeprefix("topic_id=")
    return f"{topic}/{date}/{hour}", topic_id if TOPIC_ID.fullmatch(topic_id) else None


def own_ids(names: Iterable[Name], current: str | None) -> Collection[str | None]:
    """Return the ids, or None for no id, of the names that belong to the topic that Kafka has now.

    Names without an id belong to it unless a name has the id of another topic. If `current` is None,
    because Kafka has no ids, all names belong to it.
    """
    found = {name.topic_id for name in names}
    if current is None:
        return {None, *found}
    return {current} if found - {current, None} else {current, None}


def former_id(names: Iterable[Name], current: str | None) -> str | None:
    """Return the id of a former topic if some names have ids, but none the current one; else None."""
    found = [name.topic_id for name in names if name.topic_id is not None]
    return None if current is None or current in found or not found else found[0]


def next_offsets(topic: str, names: Iterable[Name]) -> Offsets:
    """Return, per partition, the offset after the last one in the names."""
    offsets: dict[tuple[str, int], int] = {}
    for name in names:
        for partition, (_first, last) in name.ranges.items():
            offsets[topic, partition] = max(offsets.get((topic, partition), 0), last + 1)
    return offsets
