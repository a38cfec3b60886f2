"""Compare the progress of each sink with the offsets that Kafka holds.

Sinks store their progress with their data: live_prices in kafka_progress, raw_archive in the names in
raw/, price_history in the commits of tickers/.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS
from infra.doctor.finding import Finding
from infra.doctor.first_records import READ_LIMIT, first_records
from infra.doctor.tables import connected
from infra.services import object_store, ticker_table
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import OffsetError, kept_offsets, starting_offset
from spark_jobs.kafka_source.topic_ids import (
    TopicError,
    TopicIds,
    recreated_topics,
    refuse_recreated_topics,
    topic_ids,
)
from spark_jobs.lake.raw.names import Name, former_id, next_offsets, own_ids
from spark_jobs.lake.tickers.progress import newest_progress
from spark_jobs.postgres.kafka_progress import stored_topic_ids

LIVE_LAG = 60.0
"""Maximum age of the oldest record that live_prices has not read, in seconds."""

CANDLES_LAG = 600.0
"""The same for exchange_candles: the first start requests a year of candles, and prices go first."""

LAKE_LAG = 240.0
"""The same for the lake's jobs, in addition to LAKE_BATCH_SECONDS."""

DAYS_LISTED = 2
"""Number of newest days of raw/ that are listed: after midnight the newest lacks some partitions."""

RAW_TOPICS = tuple(EXCHANGE_OF_TOPIC)
LIVE_TOPICS = (*RAW_TOPICS, INSTRUMENTS, FEED_EVENTS)


def live_prices(
    settings: Settings, lag: float = LIVE_LAG, candles_lag: float = CANDLES_LAG
) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        statements.execute("SELECT topic, partition, next_offset FROM kafka_progress")
        progress = {(topic, number): offset for topic, number, offset in statements.fetchall()}
        ids = stored_topic_ids(statements, (*LIVE_TOPICS, EXCHANGE_CANDLES))
    current = topic_ids(settings, ids)
    yield from recreated(ids, current, "kafka_progress")
    yield from compared(settings, unchanged(LIVE_TOPICS, ids, current), progress, lag)
    candles = unchanged([EXCHANGE_CANDLES], ids, current)
    yield from compared(settings, candles, progress, candles_lag)


def raw_archive(settings: Settings, lag: float = LAKE_LAG) -> Iterator[Finding]:
    current = topic_ids(settings, RAW_TOPICS)
    progress: dict[tuple[str, int], int] = {}
    former: dict[str, str] = {}
    for topic in RAW_TOPICS:
        names = [*_newest_names(settings, topic)]
        own = own_ids(names, current.get(topic))
        progress |= next_offsets(topic, [name for name in names if name.topic_id in own])
        if topic_id := former_id(names, current.get(topic)):
            former[topic] = topic_id
    yield from recreated(former, current, "raw/")
    topics = unchanged(RAW_TOPICS, former, current)
    for (topic, number), (low, _) in kept_offsets(settings, topics).items():
        next_offset = progress.get((topic, number), low)
        if next_offset < low:
            yield Finding(
                f"{topic}/{number}: raw/ and Kafka lack the records from offset {next_offset} to {low - 1}",
                "restore a newer copy of raw/ if there is one; then make jobs continues with Kafka's oldest",
            )
            progress[topic, number] = low
    yield from compared(settings, topics, progress, settings.lake_batch_seconds + lag)


def price_history(settings: Settings, lag: float = LAKE_LAG) -> Iterator[Finding]:
    progress: Offsets = {}
    topics: Sequence[str] = RAW_TOPICS
    # There is no table before its first batch.
    if table := ticker_table.opened(settings):
        newest = newest_progress(table, "tickers/")
        current = topic_ids(settings, newest.topic_ids)
        yield from recreated(newest.topic_ids, current, "tickers/")
        topics = unchanged(RAW_TOPICS, newest.topic_ids, current)
        progress = newest.next_offsets
    yield from compared(settings, topics, progress, settings.lake_batch_seconds + lag)


def recreated(read: TopicIds, current: TopicIds, where: str) -> Iterator[Finding]:
    try:
        refuse_recreated_topics(read, current, where)
    except TopicError as error:
        yield Finding(str(error).partition(" Nothing was written")[0], "make accept-topics")


def unchanged(topics: Iterable[str], read: TopicIds, current: TopicIds) -> list[str]:
    """Return the topics that were not created again: old offsets say nothing about a new topic."""
    again = recreated_topics(read, current)
    return [topic for topic in topics if topic not in again]


def compared(
    settings: Settings, topics: Iterable[str], progress: Offsets, lag: float
) -> Iterator[Finding]:
    """Find progress beyond the end, records that expired unread, and unread records older than `lag`."""
    unread: dict[tuple[str, int], int] = {}
    counts: dict[str, int] = defaultdict(int)
    for (topic, number), (low, high) in kept_offsets(settings, topics).items():
        try:
            start = starting_offset(topic, number, progress.get((topic, number)), low, high)
        except OffsetError as error:
            problem, _, remedy = str(error).partition(" To continue: ")
            yield Finding(problem, remedy)
            continue
        if start < high:
            unread[topic, number] = start
            counts[topic] += high - start
    if not unread:
        return
    stamps = [record.timestamp()[1] / 1000 for record in first_records(settings, unread)]
    age = time.time() - min(stamps, default=0.0)
    if age > lag:
        shown = ", ".join(f"{count} of {topic}" for topic, count in counts.items())
        oldest = f"the oldest is {age:.0f} s old"
        if not stamps:
            oldest = f"Kafka did not return the oldest within {READ_LIMIT:g} s"
        yield Finding(
            f"records not read yet: {shown}; {oldest}",
            "make status shows whether the jobs run, and their log why they are slow; make jobs starts them",
        )


def _newest_names(settings: Settings, topic: str) -> Iterator[Name]:
    """Yield the names of a topic's objects in raw/, of its newest days."""
    store, bucket = object_store.client(settings), settings.s3_bucket
    days = store.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"raw/topic={topic}/date=", Delimiter="/"
    )
    prefixes = sorted(each["Prefix"] for page in days for each in page.get("CommonPrefixes", []))
    for prefix in prefixes[-DAYS_LISTED:]:
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                if name := Name.read(found["Key"].rpartition("/")[2]):
                    yield name
