"""What Kafka no longer holds: which rows of the tables were made of it, whole or in part."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.candle_days import kept_span
from spark_jobs.snapshot import Snapshot
from spark_jobs.sources import Offsets, PartitionOffsets
from spark_jobs.tickers.reducer import AHEAD_LIMIT

# The records from the oldest up to these offsets; nothing of a partition without one.
RecordsUpTo = Callable[[Offsets], DataFrame]


def is_expired(oldest: PartitionOffsets) -> Column:
    """Whether a row's own message lies below the oldest."""
    below = (
        (F.col("topic") == topic) & (F.col("partition") == int(number)) & (F.col("offset") < low)
        for topic, partitions in oldest.items()
        for number, low in partitions.items()
    )
    return reduce(or_, below)


def is_whole(
    records: RecordsUpTo, oldest: PartitionOffsets, snapshot: Snapshot, candles_kept: timedelta
) -> Column:
    """Whether a candle is of a day that is kept, and made of nothing that has expired.

    Where clocks agree, an expired ticker was received before the oldest record was stamped, and counts
    at most in the minutes up to AHEAD_LIMIT later.
    """
    since, until = kept_span(snapshot.taken_at, candles_kept)
    whole = (F.col("minute") >= since) & (F.col("minute") < until)
    for exchange, end in received_until(records, oldest, snapshot).items():
        is_later = F.col("minute") > F.lit(end + AHEAD_LIMIT)
        whole &= (F.col("exchange") != exchange) | is_later
    return whole


def received_until(
    records: RecordsUpTo, oldest: PartitionOffsets, snapshot: Snapshot
) -> dict[str, datetime]:
    """When the last expired ticker was received at the latest, of each exchange that has expired ones."""
    cut = {
        (topic, int(number)): low
        for topic, partitions in oldest.items()
        for number, low in partitions.items()
        if low > 0
    }
    # Where all has expired that was read, nothing is stamped.
    firsts = {place: low + 1 for place, low in cut.items() if low < snapshot.progress.get(place, 0)}
    stamps = {
        (row["topic"], row["partition"]): row["timestamp"].astimezone()
        for row in records(firsts).select("topic", "partition", "timestamp").collect()
    }
    until: dict[str, datetime] = {}
    for topic, partition in cut:
        exchange = EXCHANGE_OF_TOPIC[topic]
        stamp = stamps.get((topic, partition), snapshot.taken_at)
        until[exchange] = max(until.get(exchange, stamp), stamp)
    return until
