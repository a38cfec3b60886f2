"""What topic `instruments` says of one exchange: read once, from its beginning to its end."""

import logging
from collections.abc import Mapping
from contextlib import closing

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from core.message import instrument_key
from core.topics import INSTRUMENTS
from extractors.feed import Instrument
from extractors.instruments import read_instrument
from extractors.resume import TopicError, consumer_to_look

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds without a message, and for each question."""


def known_instruments(exchange: str, configuration: Mapping[str, str]) -> dict[str, Instrument]:
    """The last message of each symbol. Raises TopicError; passes over, by name, what it can't read."""
    key_prefix = instrument_key(exchange, "")
    known: dict[str, Instrument] = {}
    for key, value in _messages(configuration):
        if key.startswith(key_prefix):
            try:
                instrument = read_instrument(value)
            except ValueError as error:
                log.warning("topic instruments key=%r reason=%r", key, str(error))
                continue
            known[instrument.symbol] = instrument
    return known


def _messages(configuration: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Keys and values, in order for each key."""
    found: list[tuple[bytes, bytes]] = []
    with closing(consumer_to_look(configuration)) as consumer:
        try:
            partitions = consumer.list_topics(INSTRUMENTS, timeout=TIMEOUT).topics[INSTRUMENTS]
            unread = set(partitions.partitions)
            consumer.assign(
                [TopicPartition(INSTRUMENTS, each, OFFSET_BEGINNING) for each in unread]
            )
        except KafkaException as error:
            raise TopicError(f"topic {INSTRUMENTS}: {error}") from error
        if partitions.error:
            raise TopicError(f"topic {INSTRUMENTS}: {partitions.error.str()}")
        while unread:
            message = consumer.poll(TIMEOUT)
            if message is None:
                raise TopicError(f"topic {INSTRUMENTS}: nothing for {TIMEOUT:g} s")
            if problem := message.error():
                if problem.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public, underscore and all
                    raise TopicError(f"topic {INSTRUMENTS}: {problem.str()}")
                unread.discard(message.partition())
                continue
            found.append((message.key() or b"", message.value() or b""))
    return found
