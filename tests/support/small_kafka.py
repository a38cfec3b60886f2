"""Run librdkafka's mock broker, which speaks Kafka's protocol in this process and uses no disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Message, Producer

from core.message import partition_of
from core.settings import Settings
from tests.support.kafka import Topic

TIMEOUT = 30.0
PARTITIONS = 4
"""Number of partitions of each topic: librdkafka's default for its mock broker."""

SYMBOLS = [f"S{number}USDT" for number in range(20)]
"""Symbols of numbered items, used in turn."""


@contextmanager
def small_kafka(*topics: str) -> Iterator[Settings]:
    """Yield settings with the broker's address. At the end it vanishes like a killed Kafka."""
    broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    [address] = broker.list_topics(timeout=TIMEOUT).brokers.values()
    settings = Settings(kafka_bootstrap_servers=f"{address.host}:{address.port}")
    for topic in topics:
        create(settings, topic)
    yield settings
    # The producer owns the broker: deleting it stops the broker.
    del broker


def create(settings: Settings, topic: str) -> None:
    """Create a topic by requesting its metadata: the mock broker then creates it."""
    topics = _producer(settings).list_topics(topic, timeout=TIMEOUT).topics
    assert len(topics[topic].partitions) == PARTITIONS


def send(
    settings: Settings,
    topic: str,
    partition: int,
    value: bytes = b"[]",
    headers: dict[str, str | bytes | None] | None = None,
) -> None:
    producer = _producer(settings)
    producer.produce(topic, value, partition=partition, headers=headers or {})
    assert producer.flush(TIMEOUT) == 0


def by_partition(topic: Topic) -> dict[int, list[Message]]:
    """Return the messages of each non-empty partition, in order."""
    found: dict[int, list[Message]] = {}
    for message in topic.messages():
        partition = message.partition()
        assert partition is not None
        found.setdefault(partition, []).append(message)
    return found


def numbers_by_partition(numbers: range) -> dict[int, list[int]]:
    """Return the numbers of the items that belong to each partition, in order."""
    found: dict[int, list[int]] = {}
    for number in numbers:
        partition = partition_of(SYMBOLS[number % len(SYMBOLS)], PARTITIONS)
        found.setdefault(partition, []).append(number)
    return found


def _producer(settings: Settings) -> Producer:
    return Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
