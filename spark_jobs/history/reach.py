"""How much of the history is read: by offsets, and which minutes of it are complete.

A candle counts a ticker in the minute of its event_time; Kafka finds it by its timestamp. An event_time may
be up to KAFKA_AHEAD_LIMIT after that timestamp. So the first minutes after the first record may lack tickers,
and so may the last minutes before the last.
"""

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
from spark_jobs.postgres.candle_days import kept_span
from spark_jobs.tickers.element_reader import CLOCK_LIMIT
from spark_jobs.tickers.reducer import AHEAD_LIMIT

KAFKA_AHEAD_LIMIT = AHEAD_LIMIT + timedelta(microseconds=CLOCK_LIMIT)
"""Maximum lead of an event_time over Kafka's timestamp of its message."""
LATE_LIMIT = timedelta(minutes=5)
"""Maximum delay between a ticker's event_time and its receipt."""
MINUTE = timedelta(minutes=1)


class Reach(NamedTuple):
    """The offsets from `begins` up to, not including, `ends`.

    `wanted` has begins that are lower where the records in between are in neither Kafka nor `raw/`.
    `since` and `until` say of an exchange that all that was received between is there; they lack one whose
    first or newest record is there.
    """

    wanted: Mapping[tuple[str, int], int]
    begins: Mapping[tuple[str, int], int]
    ends: Mapping[tuple[str, int], int]
    since: Mapping[str, datetime]
    until: Mapping[str, datetime]
    followed: Collection[tuple[str, int]] = ()
    """Partitions whose end is not the tables' progress."""
    created: Mapping[str, datetime] = {}
    """When Kafka stamped the first record of each topic that was created again."""


def whole_reach(history: History, progress: Offsets, now: datetime) -> Reach:
    """Return what can be read without a gap up to the progress."""
    begins = history.unbroken({}, progress)
    cut = {
        place: begin for place, begin in begins.items() if begin > 0 or place[0] in history.replaced
    }
    stamps = _stamps(history, cut, progress)
    created = {
        topic: min((stamp for place, stamp in stamps.items() if place[0] == topic), default=now)
        for topic in history.replaced
    }
    return Reach({}, begins, progress, _latest(stamps, cut, now), {}, created=created)


def reach_of(history: History, span: TimeSpan, progress: Offsets, now: datetime) -> Reach:
    """Return what can be read without a gap of a span of time, up to the progress."""
    wanted, reached = history.offsets_between(with_margin(span))
    ends = {place: min(end, progress.get(place, 0)) for place, end in reached.items()}
    begins = history.unbroken(wanted, ends)
    cut = {place: begin for place, begin in begins.items() if begin > wanted[place]}
    since = dict.fromkeys(EXCHANGE_OF_TOPIC.values(), with_margin(span).since)
    since |= _latest(_stamps(history, cut, ends), cut, now)
    followed = {place: end for place, end in ends.items() if end < progress.get(place, 0)}
    return Reach(wanted, begins, ends, since, _received(history, followed), followed)


def with_margin(span: TimeSpan) -> TimeSpan:
    """Return the span in which Kafka stamped all tickers of these minutes, unless they came late."""
    return TimeSpan(span.since - KAFKA_AHEAD_LIMIT - MINUTE, span.until + LATE_LIMIT + MINUTE)


def _stamps(history: History, firsts: Offsets, ends: Offsets) -> dict[tuple[str, int], datetime]:
    """When Kafka stamped these records; without those that lie behind the ends."""
    read = {place: first + 1 for place, first in firsts.items() if first < ends.get(place, 0)}
    if not read:
        return {}
    rows = history.records(firsts, read).select("topic", "partition", "timestamp").collect()
    return {(row["topic"], row["partition"]): row["timestamp"].astimezone() for row in rows}


def _latest(
    stamps: Mapping[tuple[str, int], datetime], places: Iterable[tuple[str, int]], now: datetime
) -> dict[str, datetime]:
    """By exchange, the latest stamp of its places; now, where one has none."""
    found: dict[str, datetime] = {}
    for place in places:
        exchange, stamp = EXCHANGE_OF_TOPIC[place[0]], stamps.get(place, now)
        found[exchange] = max(found.get(exchange, stamp), stamp)
    return found


def _received(history: History, firsts: Offsets) -> dict[str, datetime]:
    """By exchange, when the first item of these records was received: what follows came later."""
    if not firsts:
        return {}
    records = history.records(firsts, {place: first + 1 for place, first in firsts.items()})
    messages = counted(records).where(F.col("kind") == IS_MESSAGE).groupBy("exchange")
    rows = messages.agg(F.min(F.coalesce("received_at", "stamped_at")).alias("first")).collect()
    return {row["exchange"]: row["first"].astimezone() for row in rows}


def is_outside(reach: Reach, offsets: int = 1) -> Column:
    """Whether so many offsets, of which a row has the first, lie outside of what is read, also in part."""
    return ~reduce(or_, (_is_read(reach, place, offsets) for place in reach.begins))


def _is_read(reach: Reach, place: tuple[str, int], offsets: int) -> Column:
    topic, partition = place
    last = reach.ends.get(place, 0) - (offsets if place in reach.followed else 1)
    is_in_partition = (F.col("topic") == topic) & (F.col("partition") == partition)
    return is_in_partition & F.col("offset").between(reach.begins[place], last)


def is_former(reach: Reach) -> Column:
    """Whether a ticker is of a topic that was deleted: what was received since then is in another."""
    former = (
        (F.col("topic") == topic) & (F.col("received_at") < created)
        for topic, created in reach.created.items()
    )
    return reduce(or_, former, F.lit(False))


def stamped_since(reach: Reach, messages: DataFrame, since: datetime) -> Reach:
    """The part of it that Kafka stamped at that time or later, by `messages` of reconcile.messages_of."""
    later = messages.where(F.col("minute") >= since).groupBy("topic", "partition")
    rows = later.agg(F.min("offset").alias("first")).collect()
    firsts = {(row["topic"], row["partition"]): row["first"] for row in rows}
    begins = {
        place: firsts.get(place, reach.ends.get(place, begin))
        for place, begin in reach.begins.items()
    }
    return reach._replace(begins=begins)


def is_complete(reach: Reach, now: datetime, candles_kept: timedelta) -> Column:
    """Whether a candle is of a day that is kept, and made of nothing that is not read."""
    first, end = kept_span(now, candles_kept)
    complete = (F.col("minute") >= first) & (F.col("minute") < end)
    for exchange, since in reach.since.items():
        is_later = F.col("minute") > F.lit(since + KAFKA_AHEAD_LIMIT)
        complete &= (F.col("exchange") != exchange) | is_later
    for exchange, until in reach.until.items():
        is_earlier = F.col("minute") <= F.lit(until - LATE_LIMIT - MINUTE)
        complete &= (F.col("exchange") != exchange) | is_earlier
    return complete


def is_wanted(span: TimeSpan | None) -> Column:
    """Whether a row's minute lies in the span; every one does where there is none."""
    if span is None:
        return F.lit(True)
    return (F.col("minute") >= span.since) & (F.col("minute") < span.until)
