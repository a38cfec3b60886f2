"""How far a journal has come into the partitions of its topic, as their last messages say."""

import logging
import time
from contextlib import closing

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from core.message import JOURNAL_HEADER, POSITION_HEADER
from core.topics import TOPIC_OF_EXCHANGE

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds for each question."""

STILL_FOR = 1.0
"""Seconds that the ends of the partitions must not have moved: what a process has sent may still
arrive when it is dead."""


class TopicError(OSError):
    """A topic can't be read now."""


def taken_positions(exchange: str, journal_id: str, bootstrap_servers: str) -> dict[int, int]:
    """By partition, the journal's position after what Kafka has. Raises TopicError.

    A partition whose last message is not this journal's, or expired, is left out.
    """
    topic = TOPIC_OF_EXCHANGE[exchange]
    taken: dict[int, int] = {}
    with closing(consumer_to_look(bootstrap_servers)) as consumer:
        try:
            for partition, (low, high) in _still_ends(consumer, topic).items():
                if low == high:
                    continue
                consumer.assign([TopicPartition(topic, partition, high - 1)])
                message = consumer.poll(TIMEOUT)
                if message is None or message.error():
                    raise TopicError(f"{topic}/{partition}: no message at {high - 1}: {message}")
                position = _position(message, journal_id)
                if position is not None:
                    taken[partition] = position
        except KafkaException as error:
            raise TopicError(f"topic {topic}: {error}") from error
    return taken


def consumer_to_look(bootstrap_servers: str) -> Consumer:
    """Joins no group and commits nothing."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "extractors",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "log_level": 2,
        }
    )


def _still_ends(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """The first and the next offset of each partition, once they stay the same."""
    partitions = list(consumer.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions)
    ends: dict[int, tuple[int, int]] = {}
    while True:
        before, ends = ends, {each: _ends(consumer, topic, each) for each in partitions}
        if ends == before:
            return ends
        time.sleep(STILL_FOR)


def _ends(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    ends = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
    if ends is None:
        raise TopicError(f"{topic}/{partition}: no answer within {TIMEOUT:g} s")
    return ends


def _position(message: Message, journal_id: str) -> int | None:
    headers = dict(message.headers() or [])
    if headers.get(JOURNAL_HEADER) != journal_id.encode():
        return None
    position = headers.get(POSITION_HEADER)
    return int(position) if position else None
