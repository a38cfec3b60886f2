"""Read the first record at or after given offsets, without joining a consumer group."""

import time
from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import KafkaException, Message, TopicPartition

from core.settings import Settings
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import metadata_consumer

READ_LIMIT = 15.0
"""Timeout of all records of a call together, in seconds."""


def first_records(settings: Settings, offsets: Offsets) -> Iterator[Message]:
    """Yield, for each partition, the first record at its offset or later, within READ_LIMIT.

    A partition without such a record yields none; the caller passes only those that have one.
    """
    waiting = set(offsets)
    end = time.monotonic() + READ_LIMIT
    with closing(metadata_consumer(settings)) as consumer:
        consumer.assign(
            [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        )
        while waiting and time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if error := message.error():
                raise KafkaException(error)
            partition = str(message.topic()), int(message.partition() or 0)
            if partition in waiting:
                waiting.discard(partition)
                consumer.incremental_unassign([TopicPartition(*partition)])
                yield message
