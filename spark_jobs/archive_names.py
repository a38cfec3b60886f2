"""The names of the archive's objects say which offsets they hold.

    topic=kucoin_raw_data/date=2026-11-22/hour=18/0.120-179_1.98-140.parquet

holds the offsets 120 to 179 of partition 0 and 98 to 140 of partition 1.
"""

import re
from collections.abc import Iterable, Mapping

from spark_jobs.sources import Offsets

# First and last offset by partition.
Ranges = Mapping[int, tuple[int, int]]

RANGE = re.compile(r"(\d+)\.(\d+)-(\d+)")
NAME = re.compile(rf"{RANGE.pattern}(_{RANGE.pattern})*\.parquet")


def file_name(ranges: Ranges) -> str:
    """`0.120-179_1.98-140.parquet` for {0: (120, 179), 1: (98, 140)}."""
    return "_".join(f"{p}.{low}-{high}" for p, (low, high) in sorted(ranges.items())) + ".parquet"


def ranges_of(name: str) -> Ranges:
    """The inverse of file_name; empty for a name of another kind."""
    if not NAME.fullmatch(name):
        return {}
    return {int(p): (int(low), int(high)) for p, low, high in RANGE.findall(name)}


def place(path: str) -> str:
    """`kucoin_raw_data/date=.../hour=.../part-0.parquet`: Spark and Hadoop write the rest differently."""
    return path.rpartition("/topic=")[2]


def next_offsets(topic: str, paths: Iterable[str]) -> Offsets:
    """The offset after the last of each partition that the topic's objects name."""
    offsets: dict[tuple[str, int], int] = {}
    for path in paths:
        for partition, (_first, last) in ranges_of(path.rpartition("/")[2]).items():
            offsets[topic, partition] = max(offsets.get((topic, partition), 0), last + 1)
    return offsets
