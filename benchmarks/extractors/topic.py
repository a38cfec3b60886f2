"""Read a contestant's frames from Kafka, with the time at which the broker appended each."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from itertools import count
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

from benchmarks.extractors.frames import numbers_in
from core.settings import Settings

TIMEOUT = 10.0
MAX_MESSAGES = 10_000

Offsets = Mapping[int, int]
"""Next offset by partition."""


class Appended(NamedTuple):
    """Frame `number` and the time of its append, in seconds since the epoch."""

    number: int
    at: float


Reader = Callable[[Iterable[tuple[bytes, float]]], list[Appended]]
"""Mapping from messages, each with the time of its append, to frames."""


def arrays(messages: Iterable[tuple[bytes, float]]) -> list[Appended]:
    """Read messages of the extractors: arrays of items."""
    return [Appended(number, at) for value, at in messages for number in numbers_in(value)]


def in_order(messages: Iterable[tuple[bytes, float]]) -> list[Appended]:
    """Read messages of one frame each, written in order to one partition."""
    return [Appended(number, at) for number, (_value, at) in zip(count(), messages, strict=False)]


def offsets(settings: Settings, topic: str) -> Offsets:
    with closing(_consumer(settings)) as consumer:
        partitions = consumer.list_topics(topic, TIMEOUT).topics[topic].partitions
        return {each: _end(consumer, TopicPartition(topic, each)) for each in partitions}


def messages_between(
    settings: Settings, topic: str, starts: Offsets, ends: Offsets
) -> Iterable[tuple[bytes, float]]:
    """Yield value and timestamp of all messages, partition by partition."""
    with closing(_consumer(settings)) as consumer:
        for partition, end in ends.items():
            offset = starts[partition]
            consumer.assign([TopicPartition(topic, partition, offset)])
            while offset < end:
                messages = consumer.consume(min(MAX_MESSAGES, end - offset), TIMEOUT)
                if not messages:
                    raise RuntimeError(f"{topic}/{partition}: no message at offset {offset}")
                for message in messages:
                    _kind, milliseconds = message.timestamp()
                    yield message.value() or b"", milliseconds / 1000
                    offset = (message.offset() or 0) + 1


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    ends = consumer.get_watermark_offsets(partition, TIMEOUT)
    if ends is None:
        raise RuntimeError(f"{partition}: no answer")
    return ends[1]


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "benchmark",
            "enable.auto.commit": False,
        }
    )
