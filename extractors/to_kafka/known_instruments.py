"""Read the instruments of one exchange from topic `instruments`, from beginning to end."""

import logging
from contextlib import closing

from confluent_kafka import OFFSET_BEGINNING, KafkaException

from core.message import instrument_key
from core.settings import Settings
from core.topics import INSTRUMENTS
from exchanges.exchange import Instrument
from extractors.receive.instruments import read_instrument
from extractors.to_kafka.topic_reader import groupless_consumer, messages_to_the_end, topic_error

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Timeout in seconds of each request, and of the wait for the next message."""


def known_instruments(exchange: str, settings: Settings) -> dict[str, Instrument]:
    """Return the last instrument of each symbol. Log and skip invalid messages. Raise TopicError."""
    key_prefix = instrument_key(exchange, "")
    known: dict[str, Instrument] = {}
    for key, value in _messages(settings):
        if key.startswith(key_prefix):
            try:
                instrument = read_instrument(value)
            except ValueError as error:
                log.warning("instrument skipped key=%r reason=%r", key, str(error))
                continue
            known[instrument.symbol] = instrument
    return known


def _messages(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Return keys and values, in order per key."""
    with closing(groupless_consumer(settings)) as consumer:
        try:
            topic = consumer.list_topics(INSTRUMENTS, timeout=TIMEOUT).topics[INSTRUMENTS]
            if topic.error:
                raise KafkaException(topic.error)
            starts = dict.fromkeys(topic.partitions, OFFSET_BEGINNING)
            return [
                (message.key() or b"", message.value() or b"")
                for message in messages_to_the_end(consumer, INSTRUMENTS, starts, TIMEOUT)
            ]
        except KafkaException as error:
            raise topic_error(error, INSTRUMENTS, settings) from error
