"""Ask a topic how far Kafka has a journal: its own messages carry their position as a header."""

import time
from collections.abc import Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from core.message import JOURNAL_HEADER, POSITION_HEADER
from extractors.to_kafka.delivered import Delivered, Place
from extractors.to_kafka.topic_reader import TopicError, consumer_to_look, messages_to_the_end

TIMEOUT = 10.0
"""Seconds for each request."""

STILL_FOR = 1.0
"""Seconds for which none of the journal's messages must have arrived: bytes of a killed process may
still be in flight."""


def catch_up(topic: str, configuration: Mapping[str, str], delivered: Delivered) -> None:
    """Bring the record up to date with the journal's messages in the topic. Raise TopicError.

    Read from the recorded offsets to the ends, again and again until nothing of the journal came.
    Others may write to the topic meanwhile. Of a partition without a record only the last message is
    read, and all of a partition that is shorter than recorded. The latter was either created again,
    and has nothing of the journal, or has lost its end, which is to be sent again.
    """
    with closing(consumer_to_look(configuration)) as consumer:
        try:
            _read_to_the_ends(consumer, topic, delivered)
            is_still = False
            while not is_still:
                time.sleep(STILL_FOR)
                is_still = not _read_to_the_ends(consumer, topic, delivered)
        except KafkaException as error:
            raise TopicError(f"topic {topic}: {error}") from error


def begin(topic: str, configuration: Mapping[str, str], delivered: Delivered) -> None:
    """Record the ends of a topic that has nothing of the journal yet. Raise TopicError."""
    with closing(consumer_to_look(configuration)) as consumer:
        try:
            for partition in range(delivered.counts[-1][1]):
                _, end = _ends(consumer, topic, partition)
                delivered.places[partition] = Place(end, 0)
        except KafkaException as error:
            raise TopicError(f"topic {topic}: {error}") from error


def _read_to_the_ends(consumer: Consumer, topic: str, delivered: Delivered) -> bool:
    """Return whether anything of the journal came."""
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    shorter: set[int] = set()
    for partition in range(delivered.counts[-1][1]):
        low, end = _ends(consumer, topic, partition)
        place = delivered.places.setdefault(partition, Place(end - 1, 0))
        if place.next_offset > end:
            shorter.add(partition)
            place.next_offset = low
        ends[partition] = end
        if (start := max(low, place.next_offset)) < end:
            starts[partition] = start
    came: set[int] = set()
    for message in messages_to_the_end(consumer, topic, starts, TIMEOUT, ends):
        partition, offset = message.partition() or 0, message.offset() or 0
        place = delivered.places[partition]
        # With the position, because the next message may not be readable now.
        place.next_offset = offset + 1
        if (position := _position(message, delivered.journal_id)) is not None:
            place.position = position
            came.add(partition)
    for partition, end in ends.items():
        delivered.places[partition].next_offset = end
    for partition in shorter & came:
        # The topic was not created again: Kafka has lost what it had confirmed last.
        delivered.position = min(delivered.position, delivered.places[partition].position)
    return bool(came)


def _ends(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the partition's first offset and its next one."""
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
