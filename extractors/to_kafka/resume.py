"""Find out what Kafka has of a journal, from the positions in the headers of the topic's messages."""

import time
from contextlib import closing
from dataclasses import replace

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from core.message import JOURNAL_HEADER, POSITION_HEADER
from core.settings import Settings
from extractors.to_kafka.delivered import Delivered, PartitionProgress
from extractors.to_kafka.topic_reader import (
    TopicError,
    groupless_consumer,
    messages_to_the_end,
    topic_error,
)

TIMEOUT = 10.0
"""Timeout in seconds of each request."""

QUIET_SECONDS = 1.0
"""Seconds without a new message of the journal after which reading ends: messages of a killed process
may still be in flight."""

STEP_GROWTH = 10
"""Factor from each step of a backwards search to the next; the first step is one message."""


def catch_up(topic: str, settings: Settings, delivered: Delivered) -> None:
    """Update the record with the journal's messages in the topic. Raise TopicError.

    Read from the recorded offsets to the ends, and repeat until no new message of the journal arrives.
    Others may write to the topic meanwhile. In a partition without a record, read only the last
    message. In a partition that is shorter than recorded, look for the last message of the journal: either
    the partition was created again and has none, or it has lost its end, which must be sent again.
    """
    with closing(groupless_consumer(settings)) as consumer:
        try:
            _read_to_the_ends(consumer, topic, delivered)
            is_quiet = False
            while not is_quiet:
                time.sleep(QUIET_SECONDS)
                is_quiet = not _read_to_the_ends(consumer, topic, delivered)
        except KafkaException as error:
            raise topic_error(error, topic, settings) from error


def begin(topic: str, settings: Settings, delivered: Delivered) -> None:
    """Record the ends of a topic that has nothing of the journal yet. Raise TopicError."""
    with closing(groupless_consumer(settings)) as consumer:
        try:
            for partition in range(delivered.counts[-1][1]):
                _, end = _ends(consumer, topic, partition)
                delivered.partitions[partition] = PartitionProgress(end, 0)
        except KafkaException as error:
            raise topic_error(error, topic, settings) from error


def _read_to_the_ends(consumer: Consumer, topic: str, delivered: Delivered) -> bool:
    """Update the record up to each partition's end. Return whether a message of the journal was read.

    Change nothing if reading fails: the next attempt must find the same partitions shorter than recorded.
    """
    partitions = {n: replace(place) for n, place in delivered.partitions.items()}
    delivered_to = delivered.position
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    updated: set[int] = set()
    for partition in range(delivered.counts[-1][1]):
        low, end = _ends(consumer, topic, partition)
        place = partitions.setdefault(partition, PartitionProgress(end - 1, 0))
        ends[partition] = end
        if place.next_offset > end:
            last = _last_position(consumer, topic, partition, low, end, delivered.journal_id)
            if last is not None:
                # The topic was not created again: Kafka has lost the last messages that it had confirmed.
                place.position = last
                delivered_to = min(delivered_to, last)
                updated.add(partition)
        elif (start := max(low, place.next_offset)) < end:
            starts[partition] = start
    for message in messages_to_the_end(consumer, topic, starts, TIMEOUT, ends):
        partition = message.partition() or 0
        if (position := _position(message, delivered.journal_id)) is not None:
            partitions[partition].position = position
            updated.add(partition)
    for partition, end in ends.items():
        partitions[partition].next_offset = end
    delivered.partitions, delivered.position = partitions, delivered_to
    return bool(updated)


def _last_position(
    consumer: Consumer, topic: str, partition: int, low: int, end: int, journal_id: str
) -> int | None:
    """Return the position in the last message of the journal; None if the partition has none.

    Search backwards in growing steps: a partition may have a week of messages, and new prices wait.
    """
    step = 1
    while end > low:
        start = max(low, end - step)
        found = None
        for message in messages_to_the_end(
            consumer, topic, {partition: start}, TIMEOUT, {partition: end}
        ):
            position = _position(message, journal_id)
            found = found if position is None else position
        if found is not None:
            return found
        end, step = start, step * STEP_GROWTH
    return None


def _ends(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the partition's first offset and the one after its last."""
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
