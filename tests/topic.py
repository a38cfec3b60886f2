"""A Kafka topic as a test sees it."""

import json
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from core.settings import Settings

DEADLINE = 30.0


class Topic:
    """What has come to a topic since this was made."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._name = name
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka_bootstrap_servers,
                "group.id": "tests",
                # A test may end after its Kafka: that is no news.
                "log_level": 2,
            }
        )
        self._partitions = self._consumer.list_topics(name, DEADLINE).topics[name].partitions
        self._starts = self._ends()

    def _ends(self) -> list[int]:
        return [self._end(TopicPartition(self._name, number)) for number in self._partitions]

    def _end(self, partition: TopicPartition) -> int:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                offsets = self._consumer.get_watermark_offsets(partition, DEADLINE)
            except KafkaException:
                # A topic that was made just now has partitions that have no leader yet.
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                assert offsets is not None
                return offsets[1]

    def messages(self) -> list[Message]:
        self._consumer.assign(
            [
                TopicPartition(self._name, partition, start)
                for partition, start in zip(self._partitions, self._starts, strict=True)
            ]
        )
        count = sum(self._ends()) - sum(self._starts)
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
