"""Produce, read and delete messages in the topics of a test's Kafka."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.kafka_source.offsets import Offsets
from tests.support.waiting import wait_for

DEADLINE = 60.0


class Topic:
    """Messages of a topic since this object was created, including those in partitions added later."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._consumer = _consumer(settings)
        self._starts = self._ends()

    def _ends(self) -> dict[int, int]:
        partitions = self._consumer.list_topics(self._name, DEADLINE).topics[self._name].partitions
        return {number: _end(self._consumer, self._name, number) for number in partitions}

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
    """Return all messages of the topics since the objects were created."""
    return [message for topic in topics for message in topic.messages()]


def place(message: Message) -> tuple[str, int, int]:
    """Return topic, partition and offset of a message."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return topic, partition, offset


def produce(settings: Settings, topic: str, *messages: Any, partition: int = 0) -> None:
    """Send messages, JSON-encoded unless bytes, and return when Kafka has acknowledged them."""
    producer = _producer(settings.kafka_bootstrap_servers)
    headers: dict[str, str | bytes | None] = {"endpoint": b"127.0.0.1:8090"}
    refusals: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        if error:
            refusals.append(error)

    for message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        producer.produce(topic, value, b"key", partition, on_delivery, headers=headers)
    assert producer.flush(DEADLINE) == 0
    assert not refusals


def forget_producers() -> None:
    """Use new producers: one that saw a topic deleted refuses messages for the topic of that name."""
    _producer.cache_clear()


@cache
def _producer(servers: str) -> Producer:
    # A test may stop Kafka for a moment. By default, pauses between attempts grow to 10 s.
    return Producer({"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500, "log_level": 2})


def expire_all(settings: Settings) -> None:
    """Delete all records of the raw topics, as Kafka's retention would."""
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
    """Delete the records before these offsets, as Kafka's retention would; -1 deletes all."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    befores = [TopicPartition(*partition, offset) for partition, offset in oldest.items()]

    def refusal() -> KafkaException | None:
        try:
            for done in admin.delete_records(befores).values():
                done.result()
        except KafkaException as error:
            # A broker that has just started may not know yet which partitions it leads.
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            return error
        return None

    wait_for(refusal, lambda found: found is None)


def ends(settings: Settings) -> Offsets:
    """Return the end offset of each partition of the raw topics that had a message."""
    return {partition: end for partition, end in all_ends(settings).items() if end}


def all_ends(settings: Settings, topics: Iterable[str] = tuple(EXCHANGE_OF_TOPIC)) -> Offsets:
    """Return the end offset of each partition of the topics."""
    with closing(_consumer(settings)) as consumer:
        return {
            (topic, number): _end(consumer, topic, number)
            for topic in topics
            for number in consumer.list_topics(topic).topics[topic].partitions
        }


def all_messages(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield topic, partition, offset and value of the raw topics' messages, by partition and offset."""
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


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    """Return the end offset, once the partition has a leader: that of a new topic may have none yet."""

    def end() -> int | KafkaException:
        try:
            offsets = consumer.get_watermark_offsets(TopicPartition(topic, partition), DEADLINE)
        except KafkaException as error:
            return error
        assert offsets is not None
        return offsets[1]

    found = wait_for(end, lambda found: isinstance(found, int))
    assert isinstance(found, int)
    return found


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": "tests",
            "enable.auto.commit": False,
            # At the end of a partition, answer after 10 ms instead of half a second.
            "fetch.wait.max.ms": 10,
            # Do not log that a test's Kafka ended before the test.
            "log_level": 2,
        }
    )


def configure_topic(admin: AdminClient, topic: str, name: str, value: str) -> None:
    """Change a topic's setting. Return when the broker answers with the new value."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([changed])[changed].result(timeout=DEADLINE)
    asked = ConfigResource(ResourceType.TOPIC, topic)
    # The controller has the new value first.
    wait_for(
        lambda: admin.describe_configs([asked])[asked].result(timeout=DEADLINE)[name].value,
        lambda found: found == value,
    )
