"""Determine the offsets of the history that are read, and the minutes that are complete in them.

A candle counts a ticker in the minute of its event_time, but Kafka finds it by its timestamp. An
event_time may be up to KAFKA_AHEAD_LIMIT after that timestamp. So the first minutes after the first
record may lack tickers, and so may the last minutes before the last record.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.history.history import History
from spark_jobs.history.message_counts import IS_MESSAGE, counted
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.time_span import TimeSpan
from spark_jobs.postgres.candle_days import retained_span
from spark_jobs.tickers.element_reader import CLOCK_LIMIT
from spark_jobs.tickers.reducer import AHEAD_LIMIT

log = logging.getLogger(__name__)

KAFKA_AHEAD_LIMIT = AHEAD_LIMIT + timedelta(microseconds=CLOCK_LIMIT)
"""Maximum lead of an event_time over Kafka's timestamp of its message."""
LATE_LIMIT = timedelta(minutes=5)
"""Maximum delay between a ticker's event_time and its receipt."""
MINUTE = timedelta(minutes=1)


class Reach(NamedTuple):
    """The offsets that are read: [`begins`, `ends`).

    `wanted` are the requested begins. They are lower than `begins` if the records in between are in
    neither Kafka nor `raw/`. Everything that was received from an exchange between `since` and `until`
    is read. `since` lacks an exchange if its first record is read, `until` if its newest is read.
    """

    wanted: Mapping[tuple[str, int], int]
    begins: Mapping[tuple[str, int], int]
    ends: Mapping[tuple[str, int], int]
    since: Mapping[str, datetime]
    until: Mapping[str, datetime]
    followed: Collection[tuple[str, int]] = ()
    """Partitions that end before the tables' progress."""
    created: Mapping[str, datetime] = {}
    """When Kafka stamped the first record of each topic that was created again."""


def whole_reach(history: History, progress: Offsets, now: datetime) -> Reach:
    """Return the reach of all that can be read without a gap, up to the progress."""
    begins = history.unbroken({}, progress)
    cut = {
        topic_partition: begin
        for topic_partition, begin in begins.items()
        if begin > 0 or topic_partition[0] in history.replaced
    }
    stamps = _stamps(history, cut, progress)
    created = {
        topic: min(
            (stamp for topic_partition, stamp in stamps.items() if topic_partition[0] == topic),
            default=now,
        )
        for topic in history.replaced
    }
    return Reach({}, begins, progress, _latest(stamps, cut, now), {}, created=created)


def log_lost(begins: Offsets, progress: Offsets) -> None:
    """Log the messages after the progress that can't be read: neither Kafka nor `raw/` holds them."""
    for (topic, partition), begin in sorted(begins.items()):
        next_offset = progress.get((topic, partition), begin)
        if next_offset < begin:
            log.warning(
                "lost topic=%s partition=%d first=%d last=%d reason='neither in Kafka nor in raw/'",
                *(topic, partition, next_offset, begin - 1),
            )


def reach_of(history: History, span: TimeSpan, progress: Offsets, now: datetime) -> Reach:
    """Return the reach of a span of time, as far as it can be read without a gap, up to the progress."""
    wanted, reached = history.offsets_between(with_margin(span))
    ends = {
        topic_partition: min(end, progress.get(topic_partition, 0))
        for topic_partition, end in reached.items()
    }
    begins = history.unbroken(wanted, ends)
    cut = {
        topic_partition: begin
        for topic_partition, begin in begins.items()
        if begin > wanted[topic_partition]
    }
    since = dict.fromkeys(EXCHANGE_OF_TOPIC.values(), with_margin(span).since)
    since |= _latest(_stamps(history, cut, ends), cut, now)
    followed = {
        topic_partition: end
        for topic_partition, end in ends.items()
        if end < progress.get(topic_partition, 0)
    }
    return Reach(wanted, begins, ends, since, _received(history, followed), followed)


def with_margin(span: TimeSpan) -> TimeSpan:
    """Return the span in which Kafka stamped all tickers of these minutes that are within LATE_LIMIT."""
    return TimeSpan(span.since - KAFKA_AHEAD_LIMIT - MINUTE, span.until + LATE_LIMIT + MINUTE)


def _stamps(history: History, firsts: Offsets, ends: Offsets) -> dict[tuple[str, int], datetime]:
    """Return when Kafka stamped the records at `firsts`, without those at or after the ends."""
    read = {
        topic_partition: first + 1
        for topic_partition, first in firsts.items()
        if first < ends.get(topic_partition, 0)
    }
    if not read:
        return {}
    rows = history.records(firsts, read).select("topic", "partition", "timestamp").collect()
    return {(row["topic"], row["partition"]): row["timestamp"].astimezone() for row in rows}


def _latest(
    stamps: Mapping[tuple[str, int], datetime],
    partitions: Iterable[tuple[str, int]],
    now: datetime,
) -> dict[str, datetime]:
    """Return, per exchange, the latest stamp of its partitions. The default of a stamp is `now`."""
    found: dict[str, datetime] = {}
    for topic_partition in partitions:
        exchange = EXCHANGE_OF_TOPIC[topic_partition[0]]
        stamp = stamps.get(topic_partition, now)
        found[exchange] = max(found.get(exchange, stamp), stamp)
    return found


def _received(history: History, firsts: Offsets) -> dict[str, datetime]:
    """Return, per exchange, when the first item of the records at `firsts` was received.

    Later records were received later.
    """
    if not firsts:
        return {}
    records = history.records(
        firsts, {topic_partition: first + 1 for topic_partition, first in firsts.items()}
    )
    messages = counted(records).where(F.col("kind") == IS_MESSAGE).groupBy("exchange")
    rows = messages.agg(F.min(F.coalesce("received_at", "stamped_at")).alias("first")).collect()
    return {row["exchange"]: row["first"].astimezone() for row in rows}


def is_outside(reach: Reach, offsets: int = 1) -> Column:
    """Return whether any of the `offsets` offsets that begin with a row's is not read."""
    return ~reduce(
        or_, (_is_read(reach, topic_partition, offsets) for topic_partition in reach.begins)
    )


def _is_read(reach: Reach, topic_partition: tuple[str, int], offsets: int) -> Column:
    topic, partition = topic_partition
    last = reach.ends.get(topic_partition, 0) - (
        offsets if topic_partition in reach.followed else 1
    )
    is_in_partition = (F.col("topic") == topic) & (F.col("partition") == partition)
    return is_in_partition & F.col("offset").between(reach.begins[topic_partition], last)


def is_former(reach: Reach) -> Column:
    """Return whether a ticker is of a deleted topic: received before the topic was created again."""
    former = (
        (F.col("topic") == topic) & (F.col("received_at") < created)
        for topic, created in reach.created.items()
    )
    return reduce(or_, former, F.lit(False))


def stamped_since(reach: Reach, messages: DataFrame, since: datetime) -> Reach:
    """Return the part that Kafka stamped at `since` or later, by messages of reconcile.messages_of."""
    later = messages.where(F.col("minute") >= since).groupBy("topic", "partition")
    rows = later.agg(F.min("offset").alias("first")).collect()
    firsts = {(row["topic"], row["partition"]): row["first"] for row in rows}
    begins = {
        topic_partition: firsts.get(topic_partition, reach.ends.get(topic_partition, begin))
        for topic_partition, begin in reach.begins.items()
    }
    return reach._replace(begins=begins)


def is_complete(reach: Reach, now: datetime, candles_kept: timedelta) -> Column:
    """Return whether a candle is within the retention, and made only of records that are read."""
    first, end = retained_span(now, candles_kept)
    complete = (F.col("minute") >= first) & (F.col("minute") < end)
    for exchange, since in reach.since.items():
        is_later = F.col("minute") > F.lit(since + KAFKA_AHEAD_LIMIT)
        complete &= (F.col("exchange") != exchange) | is_later
    for exchange, until in reach.until.items():
        is_earlier = F.col("minute") <= F.lit(until - LATE_LIMIT - MINUTE)
        complete &= (F.col("exchange") != exchange) | is_earlier
    return complete


def is_wanted(span: TimeSpan | None) -> Column:
    """Return whether a row's minute is in the span; always true if `span` is None."""
    if span is None:
        return F.lit(True)
    return (F.col("minute") >= span.since) & (F.col("minute") < span.until)
