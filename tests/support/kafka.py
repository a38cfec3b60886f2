"""The topics of a test's Kafka: messages in, messages out, and gone."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.offsets import Offsets
from tests.support.waiting import wait_for

DEADLINE = 60.0


class Topic:
    """What has come to a topic since this was made, in partitions that were added since, too."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._consumer = _consumer(settings)
        self._starts = self._ends()

    def _ends(self) -> dict[int, int]:
        partitions = self._consumer.list_topics(self._name, DEADLINE).topics[self._name].partitions
        return {number: self._end(TopicPartition(self._name, number)) for number in partitions}

    def _end(self, partition: TopicPartition) -> int:
        def end() -> int | KafkaException:
            try:
                offsets = self._consumer.get_watermark_offsets(partition, DEADLINE)
            except KafkaException as error:
                # The partitions of a new topic may have no leader yet.
                return error
            assert offsets is not None
            return offsets[1]

        found = wait_for(end, lambda found: isinstance(found, int))
        assert isinstance(found, int)
        return found

    def messages(self) -> list[Message]:
        ends = self._ends()
        starts = {partition: self._starts.get(partition, 0) for partition in ends}
        self._consumer.assign(
            [TopicPartition(self._name, partition, start) for partition, start in starts.items()]
        )
        count = sum(ends.values()) - sum(starts.values())
        messages = self._consumer.consume(count, DEADLINE) if count else []
        assert len(messages) == count
        return messages


def items_of(message: Message) -> list[dict[str, Any]]:
    value = message.value()
    assert value is not None
    items: list[dict[str, Any]] = json.loads(value)
    return items


def all_items(messages: list[Message]) -> list[dict[str, Any]]:
    return [item for message in messages for item in items_of(message)]


def sent_to(topics: Iterable[Topic]) -> list[Message]:
    """All that has come to the topics since they were made."""
    return [message for topic in topics for message in topic.messages()]


def place(message: Message) -> tuple[str, int, int]:
    """Its topic, partition and offset."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return topic, partition, offset


def produce(settings: Settings, topic: str, *messages: Any, partition: int = 0) -> None:
    """Send messages, which are bytes or become JSON, and return when Kafka has acknowledged them."""
    producer = _producer(settings.kafka_bootstrap_servers)
    headers: dict[str, str | bytes | None] = {"endpoint": b"127.0.0.1:8090"}
    for message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        producer.produce(topic, value, b"key", partition, headers=headers)
    assert producer.flush(DEADLINE) == 0


@cache
def _producer(servers: str) -> Producer:
    # A test may take Kafka down for a moment. By default the pause before a new attempt grows to 10 s.
    return Producer({"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500, "log_level": 2})


def expire_all(settings: Settings) -> None:
    """As Kafka's retention would."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    delete_records(
        settings,
        {
            (topic, number): -1
            for topic in EXCHANGE_OF_TOPIC
            for number in admin.list_topics(topic).topics[topic].partitions
        },
    )


def delete_records(settings: Settings, oldest: Offsets) -> None:
    """Delete what lies before these offsets, as Kafka's retention would; all records before -1."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    befores = [TopicPartition(*place, offset) for place, offset in oldest.items()]

    def refusal() -> KafkaException | None:
        try:
            for done in admin.delete_records(befores).values():
                done.result()
        except KafkaException as error:
            # A broker that has just started may not know yet that it leads a partition.
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            return error
        return None

    wait_for(refusal, lambda found: found is None)


def ends(settings: Settings) -> Offsets:
    """The next offset of each partition that has a message."""
    return {partition: end for partition, end in all_ends(settings).items() if end}


def all_ends(settings: Settings, topics: Iterable[str] = tuple(EXCHANGE_OF_TOPIC)) -> Offsets:
    """The next offset of each partition of the topics."""
    with closing(_consumer(settings)) as consumer:
        return {
            (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number))[1]
            for topic in topics
            for number in consumer.list_topics(topic).topics[topic].partitions
        }


def all_messages(settings: Settings) -> Iterator[dict[str, Any]]:
    """Columns topic, partition, offset, value, from the first to the last."""
    for (topic, partition), end in ends(settings).items():
        with closing(_consumer(settings)) as consumer:
            consumer.assign([TopicPartition(topic, partition, 0)])
            offset = -1
            while offset < end - 1:
                message = consumer.poll(DEADLINE)
                assert message is not None and message.error() is None, message
                offset = message.offset() or 0
                yield {
                    "topic": topic,
                    "partition": partition,
                    "offset": offset,
                    "value": message.value(),
                }


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "tests",
            "enable.auto.commit": False,
            # At the end of a partition, answer at once and not after half a second.
            "fetch.wait.max.ms": 10,
            # A test may end after its Kafka: that is no news.
            "log_level": 2,
        }
    )
