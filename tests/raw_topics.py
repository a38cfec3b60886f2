"""The raw topics of a test's Kafka: messages in, all out, and gone."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.sources import Offsets

DEADLINE = 30.0


def produce(settings: Settings, *messages: tuple[str, Any]) -> None:
    """All to partition 0."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for topic, message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers: dict[str, str | bytes | None] = {"endpoint": b"127.0.0.1:8090"}
        producer.produce(topic, value, partition=0, headers=headers)
    assert producer.flush(30) == 0


def expire_all(settings: Settings) -> None:
    """As Kafka's retention would."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    ends = [
        TopicPartition(topic, number, -1)
        for topic in EXCHANGE_OF_TOPIC
        for number in admin.list_topics(topic).topics[topic].partitions
    ]
    for done in admin.delete_records(ends).values():
        done.result()


def ends(settings: Settings) -> Offsets:
    """The next offset of each partition that has a message."""
    with closing(_consumer(settings)) as consumer:
        found = {
            (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number))[1]
            for topic in EXCHANGE_OF_TOPIC
            for number in consumer.list_topics(topic).topics[topic].partitions
        }
    return {place: end for place, end in found.items() if end}


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
            "group.id": "raw_topics",
            "enable.auto.commit": False,
            # A test may end after its Kafka: that is no news.
            "log_level": 2,
        }
    )
