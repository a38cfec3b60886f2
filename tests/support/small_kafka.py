"""The broker inside librdkafka: it speaks Kafka's protocol in this process and writes nothing to disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Message, Producer

from core.message import partition_of
from core.settings import Settings
from tests.support.kafka import Topic

TIMEOUT = 30.0
PARTITIONS = 4
"""Of each topic."""

SYMBOLS = [f"S{number}USDT" for number in range(20)]
"""Of items whose symbols take turns."""


@contextmanager
def small_kafka(*topics: str) -> Iterator[Settings]:
    """Yield settings with its address. It ends with the block, like a Kafka that is killed."""
    broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    [address] = broker.list_topics(timeout=TIMEOUT).brokers.values()
    settings = Settings(kafka_bootstrap_servers=f"{address.host}:{address.port}")
    for topic in topics:
        create(settings, topic)
    yield settings
    # The broker belongs to this producer.
    del broker


def create(settings: Settings, topic: str) -> None:
    """The broker creates a topic when it is asked for it by name."""
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
    """The messages of each partition that has some, in their order."""
    found: dict[int, list[Message]] = {}
    for message in topic.messages():
        partition = message.partition()
        assert partition is not None
        found.setdefault(partition, []).append(message)
    return found


def numbers_by_partition(numbers: range) -> dict[int, list[int]]:
    """The numbers of the items that belong to each partition, in their order."""
    found: dict[int, list[int]] = {}
    for number in numbers:
        partition = partition_of(SYMBOLS[number % len(SYMBOLS)], PARTITIONS)
        found.setdefault(partition, []).append(number)
    return found


def _producer(settings: Settings) -> Producer:
    return Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
