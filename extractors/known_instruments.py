"""What topic `instruments` says of one exchange: read once, from its beginning to its end."""

import logging
from contextlib import closing

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from core.message import instrument_key
from core.topics import INSTRUMENTS
from extractors.feed import Instrument
from extractors.instruments import read_instrument

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds without a message, and for each question."""


class TopicError(OSError):
    """The topic can't be read now."""


def known_instruments(exchange: str, bootstrap_servers: str) -> dict[str, Instrument]:
    """The last message of each symbol. Raises TopicError; passes over, by name, what it can't read."""
    key_prefix = instrument_key(exchange, "")
    known: dict[str, Instrument] = {}
    for key, value in _messages(bootstrap_servers):
        if key.startswith(key_prefix):
            try:
                instrument = read_instrument(value)
            except ValueError as error:
                log.warning("topic instruments key=%r reason=%r", key, str(error))
                continue
            known[instrument.symbol] = instrument
    return known


def _messages(bootstrap_servers: str) -> list[tuple[bytes, bytes]]:
    """Keys and values, in order for each key."""
    found: list[tuple[bytes, bytes]] = []
    with closing(_consumer(bootstrap_servers)) as consumer:
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


def _consumer(bootstrap_servers: str) -> Consumer:
    """Only to look: it joins no group and commits nothing."""
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
