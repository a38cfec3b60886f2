"""Which offsets Kafka holds, and which of them belong to a time."""

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime

from confluent_kafka import TopicPartition

from core.settings import Settings
from spark_jobs.kafka_source.sources import (
    KAFKA_TIMEOUT,
    looking_consumer,
    partitions_of,
    rights_explained,
)


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
