"""Ask the brokers for partitions, and for the offsets that they hold."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.kafka_client import client_configuration, missing_right
from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offsets import Offsets

KAFKA_TIMEOUT = 30.0
"""Seconds for an answer."""

NOT_AUTHORISED = re.compile(r"Not authorized to access topics: \[(.+?)\]")
"""Words of Kafka's Java client, in the exception of a query."""

NO_RIGHT = KafkaError.TOPIC_AUTHORIZATION_FAILED


class OffsetError(JobError):
    """The topic does not hold what comes next. The message says which offset, and what to do."""


class RightError(JobError):
    """The brokers do not let this user read. The message names the missing right."""


def starting_offsets(settings: Settings, topics: Iterable[str], progress: Offsets) -> Offsets:
    """Return the sink's next offset of every partition, or the oldest that Kafka holds.

    Raise OffsetError where Kafka does not hold the next offset, or for a topic that does not exist.
    """
    return {
        (topic, number): starting_offset(topic, number, progress.get((topic, number)), low, high)
        for (topic, number), (low, high) in kept_offsets(settings, topics).items()
    }


def starting_offset(
    topic: str, partition: int, next_offset: int | None, low: int, high: int
) -> int:
    """Return where reading starts. `low` is the oldest offset, `high` the next one to be written.

    Raise OffsetError if `next_offset` is not between them.
    """
    if next_offset is None:
        return low
    if next_offset > high:
        raise OffsetError(
            f"{topic}/{partition} ends at offset {high}, but {next_offset} was read next: Kafka has lost "
            f"its newest messages. To go on: for live_prices set next_offset in kafka_progress to {high}, "
            "or, if the topic was created again and Kafka is too old for topic ids, delete its rows there; "
            "for the lake see docs/lake.md"
        )
    if next_offset < low:
        raise OffsetError(
            f"{topic}/{partition} begins at offset {low}, but {next_offset} comes next: "
            f"{low - next_offset} messages have expired unread. To go on: for live_prices run make rebuild, "
            f"which reads them from raw/, or to skip them set its next_offset in kafka_progress to {low}; "
            "for the lake see docs/lake.md"
        )
    return next_offset


def kept_offsets(
    settings: Settings, topics: Iterable[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return the oldest offset of each partition, and the one after its newest record.

    Raise OffsetError for a topic that does not exist, RightError where the brokers refuse.
    """
    found: dict[tuple[str, int], tuple[int, int]] = {}
    with closing(looking_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                for number in partitions_of(consumer, topic):
                    low, high = consumer.get_watermark_offsets(
                        TopicPartition(topic, number), timeout=KAFKA_TIMEOUT
                    )
                    found[topic, number] = low, high
    return found


def offsets_at(
    settings: Settings, kept: dict[tuple[str, int], tuple[int, int]], at: datetime
) -> dict[tuple[str, int], int]:
    """Return the first offset of each partition that Kafka stamped at that time or later.

    The end of the partition where there is none. `kept` is what kept_offsets returned.
    """
    milliseconds = round(at.timestamp() * 1000)
    asked = [TopicPartition(topic, number, milliseconds) for topic, number in kept]
    with closing(looking_consumer(settings)) as consumer:
        answered = consumer.offsets_for_times(asked, timeout=KAFKA_TIMEOUT)
    found: dict[tuple[str, int], int] = {}
    for each in answered:
        low, high = kept[each.topic, each.partition]
        # A negative number says that there is none.
        found[each.topic, each.partition] = max(low, each.offset) if each.offset >= 0 else high
    return found


def partitions_of_topics(settings: Settings, topics: Iterable[str]) -> list[tuple[str, int]]:
    """Return every partition of the topics. Raise OffsetError for a topic that does not exist."""
    found: list[tuple[str, int]] = []
    with closing(looking_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                found += [(topic, number) for number in partitions_of(consumer, topic)]
    return found


def looking_consumer(settings: Settings) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        {
            **client_configuration(settings),
            "group.id": "spark_jobs",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    metadata = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == NO_RIGHT:
            raise KafkaException(metadata.error)
        raise OffsetError(f"topic {topic}: {metadata.error.str()}. Was it created?")
    return sorted(metadata.partitions)


def raise_if_refused(error: Exception, settings: Settings) -> None:
    """Raise RightError when a query failed because the brokers do not let this user read."""
    if "TopicAuthorizationException" not in str(error):
        return
    named = NOT_AUTHORISED.search(str(error))
    topics = f"topic {named[1]}" if named else "the topics that the query reads"
    raise RightError(f"Kafka: {missing_right(settings, 'Read', topics)}") from error


@contextmanager
def rights_explained(settings: Settings, topic: str) -> Iterator[None]:
    """Convert an authorisation error into RightError, which names the missing right."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != NO_RIGHT:
            raise
        raise RightError(f"Kafka: {missing_right(settings, 'Read', f'topic {topic}')}") from error
