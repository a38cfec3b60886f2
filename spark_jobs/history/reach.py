"""Determine the offsets of the history that are read, and the minutes that are complete in them.

A candle counts a ticker in the minute of its event_time, but Kafka finds it by its timestamp. An
event_time may be up to KAFKA_AHEAD_LIMIT after that timestamp, so the first minutes after the first record
may lack tickers. A ticker may be received up to LATE_LIMIT after its event_time, so the last minutes before
the last record may lack some too.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
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

KAFKA_AHEAD_LIMIT = AHEAD_LIMIT + timedelta(microseconds=CLOCK_LIMIT)
"""Maximum lead of an event_time over Kafka's timestamp of its message."""
LATE_LIMIT = timedelta(minutes=5)
"""Maximum delay between a ticker's event_time and its receipt."""
MINUTE = timedelta(minutes=1)


NOWHERE = "neither in Kafka nor in raw/"
"""Why messages that a rebuild can't read are lost."""


class Reach(NamedTuple):
    """The offsets that are read: [`begins`, `ends`).

    `wanted` are the requested begins. They are lower than `begins` if the records in between are in
    neither Kafka nor `raw/`. Everything that was received from an exchange between `since` and `until`
    is read. `until` lacks an exchange if its newest record is read. For a span, `since` has every exchange;
    otherwise only those that lack earlier records.
    """

    wanted: Mapping[tuple[str, int], int]
    begins: Mapping[tuple[str, int], int]
    ends: Mapping[tuple[str, int], int]
    since: Mapping[str, datetime]
    until: Mapping[str, datetime]
    followed: Collection[tuple[str, int]] = ()
    """Partitions whose end is below the tables' progress."""
    created: Mapping[str, datetime] = {}
    """When Kafka stamped the first record of each topic that was created again, or that has older candles."""
    received: Mapping[tuple[str, int], datetime] = {}
    """When the first item that is read was received. Earlier ones of the partition are of a former topic."""


class First(NamedTuple):
    """The first record of a partition: when Kafka stamped it, and when its first item was received.

    `received` is at most `stamped`, even if the extractor's clock was ahead.
    """

    stamped: datetime
    received: datetime


def whole_reach(
    history: History, progress: Offsets, now: datetime, oldest_candles: Mapping[str, datetime]
) -> Reach:
    """Return the reach of all that can be read without a gap, up to the progress.

    `oldest_candles` has the minute of each exchange's oldest candle. If that is too old for the first
    record, earlier records are missing: they have expired, or the topic was created again, even if `raw/`
    has no object of the former one.
    """
    begins = history.unbroken({}, progress)
    firsts = _firsts(history, begins, progress, now)
    stamped = {each: first.stamped for each, first in firsts.items()}
    received = _received(firsts)
    earliest = _by_topic(min, received)
    created = {
        topic: first
        for topic, first in _by_topic(min, stamped).items()
        if topic in history.replaced
        or _is_older(oldest_candles.get(EXCHANGE_OF_TOPIC[topic]), earliest[topic])
    }
    cut = cut_partitions(begins, stamped, created)
    return Reach(
        {}, begins, progress, _by_exchange(max, cut), {}, created=created, received=received
    )


def cut_partitions(
    begins: Offsets,
    stamped: Mapping[tuple[str, int], datetime],
    created: Mapping[str, datetime],
) -> dict[tuple[str, int], datetime]:
    """Return the partitions that lack earlier records, each with the time up to which it lacks them.

    `stamped` is when Kafka stamped the first record of each partition, and `created` is that of Reach. A
    partition that begins at 0 lacks only what precedes the topic, even if it was added later.
    """
    return {
        (topic, partition): time if begins[topic, partition] > 0 else created[topic]
        for (topic, partition), time in stamped.items()
        if begins[topic, partition] > 0 or topic in created
    }


def _is_older(candle: datetime | None, received: datetime) -> bool:
    """Return whether a candle has no ticker that was received at this time or later."""
    return candle is not None and candle + MINUTE <= received - LATE_LIMIT


def reach_of(history: History, span: TimeSpan, progress: Offsets, now: datetime) -> Reach:
    """Return the reach of a span of time, as far as it can be read without a gap, up to the progress."""
    wanted, reached = history.offsets_between(with_margin(span))
    ends = {
        topic_partition: min(end, progress.get(topic_partition, 0))
        for topic_partition, end in reached.items()
    }
    begins = history.unbroken(wanted, ends)
    firsts = _firsts(history, begins, ends, now)
    cut = {
        topic_partition: first.stamped
        for topic_partition, first in firsts.items()
        if begins[topic_partition] > wanted[topic_partition]
    }
    since = dict.fromkeys(EXCHANGE_OF_TOPIC.values(), with_margin(span).since) | _by_exchange(
        max, cut
    )
    followed = {
        topic_partition: end
        for topic_partition, end in ends.items()
        if end < progress.get(topic_partition, 0)
    }
    nexts = _firsts(history, followed, {each: end + 1 for each, end in followed.items()}, now)
    until = _by_exchange(min, _received(nexts))
    return Reach(wanted, begins, ends, since, until, followed, received=_received(firsts))


def with_margin(span: TimeSpan) -> TimeSpan:
    """Return the span in which Kafka stamped all tickers of these minutes that are within LATE_LIMIT."""
    return TimeSpan(span.since - KAFKA_AHEAD_LIMIT - MINUTE, span.until + LATE_LIMIT + MINUTE)


def _firsts(
    history: History, begins: Offsets, ends: Offsets, now: datetime
) -> dict[tuple[str, int], First]:
    """Return the times of the record at each begin: `now` if it is not before the end or was not found."""
    read = {
        topic_partition: begin + 1
        for topic_partition, begin in begins.items()
        if begin < ends.get(topic_partition, 0)
    }
    found = dict.fromkeys(begins, First(now, now))
    if not read:
        return found
    messages = counted(history.records(begins, read)).where(F.col("kind") == IS_MESSAGE)
    # NULL, the receipt of a message that no extractor wrote, is skipped.
    received = F.least("received_at", "stamped_at").alias("received")
    for row in messages.select("topic", "partition", "stamped_at", received).collect():
        times = row["stamped_at"].astimezone(UTC), row["received"].astimezone(UTC)
        found[row["topic"], row["partition"]] = First(*times)
    return found


def _received(firsts: Mapping[tuple[str, int], First]) -> dict[tuple[str, int], datetime]:
    return {topic_partition: first.received for topic_partition, first in firsts.items()}


def _by_exchange(
    choose: Callable[[datetime, datetime], datetime], times: Mapping[tuple[str, int], datetime]
) -> dict[str, datetime]:
    """Return, per exchange, the one of its partitions' times that `choose` selects."""
    chosen = _by_topic(choose, times)
    return {EXCHANGE_OF_TOPIC[topic]: time for topic, time in chosen.items()}


def _by_topic(
    choose: Callable[[datetime, datetime], datetime], times: Mapping[tuple[str, int], datetime]
) -> dict[str, datetime]:
    """Return, per topic, the one of its partitions' times that `choose` selects."""
    found: dict[str, datetime] = {}
    for (topic, _partition), time in times.items():
        found[topic] = choose(found.get(topic, time), time)
    return found


def is_outside(reach: Reach, offsets: int = 1) -> Column:
    """Return whether any of the `offsets` offsets starting at a row's own is not read.

    If a partition is read up to the tables' progress, later offsets do not count: the tables have nothing
    of them.
    """
    return ~reduce(
        or_, (_is_read(reach, topic_partition, offsets) for topic_partition in reach.begins)
    )


def is_before(reach: Reach) -> Column:
    """Return whether a row's offset is below the first one that is read."""
    before = (
        (F.col("topic") == topic) & (F.col("partition") == partition) & (F.col("offset") < begin)
        for (topic, partition), begin in reach.begins.items()
    )
    return reduce(or_, before, F.lit(False))


def _is_read(reach: Reach, topic_partition: tuple[str, int], offsets: int) -> Column:
    topic, partition = topic_partition
    last = reach.ends.get(topic_partition, 0) - (
        offsets if topic_partition in reach.followed else 1
    )
    is_in_partition = (F.col("topic") == topic) & (F.col("partition") == partition)
    return is_in_partition & F.col("offset").between(reach.begins[topic_partition], last)


def is_former(reach: Reach) -> Column:
    """Return whether a ticker is of a deleted topic.

    The items of a partition are in the order of receipt: those of the former topic come before the first
    item of the new one, which was received before Kafka had the new topic if it waited in the journal.
    """
    former = (
        (F.col("topic") == topic)
        & (F.col("partition") == partition)
        & (F.col("received_at") < received)
        for (topic, partition), received in reach.received.items()
    )
    return reduce(or_, former, F.lit(False))


def stamped_since(reach: Reach, messages: DataFrame, since: datetime) -> Reach:
    """Return the part that Kafka stamped at `since` or later.

    `messages` has the columns of reconcile.messages_of.
    """
    later = messages.where(F.col("stamped_at") >= since).groupBy("topic", "partition")
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
