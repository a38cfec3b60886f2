"""Read the messages at given offsets of a raw topic from Kafka, without Spark."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, Self, cast

import polars as pl
from confluent_kafka import KafkaError, Message, TopicPartition

from core.kafka_client import missing_right
from core.message import ENDPOINT_HEADER
from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.partitions import (
    GROUP,
    KAFKA_TIMEOUT,
    metadata_consumer,
    retry_during_election,
)
from spark_jobs.tickers.columns import MESSAGE, polars_schema
from spark_jobs.tickers.messages import HOST

SCHEMA = polars_schema(MESSAGE)

MESSAGES_AT_ONCE = 50
"""Maximum number of messages in a DataFrame: a message may be 1 MB."""

MILLISECOND = 1000
"""In microseconds."""


class MissingError(JobError):
    """Kafka did not return a message that it should have. The text says why."""


class KeptMessages:
    """Reader of the messages that Kafka still has. It joins no consumer group and commits nothing."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer = metadata_consumer(settings)
        # Topic, partition and offset that the consumer reads next. A read that starts there needs no
        # new assignment.
        self._next: tuple[str, int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def held(self, topic: str, partition: int) -> range:
        """Return the offsets that Kafka has, from the oldest to the newest."""
        asked = TopicPartition(topic, partition)
        ask = partial(self._consumer.get_watermark_offsets, asked, timeout=KAFKA_TIMEOUT)
        return range(*retry_during_election(ask))

    def read(self, topic: str, partition: int, offsets: Collection[int]) -> Iterator[pl.DataFrame]:
        """Yield the messages as DataFrames with columns.MESSAGE, up to MESSAGES_AT_ONCE in each.

        All offsets must be in held(). Raise MissingError if Kafka does not return one of them.
        """
        wanted = sorted(offsets)
        collected: list[Message] = []
        for message in self._messages(topic, partition, wanted):
            collected.append(message)
            if len(collected) == MESSAGES_AT_ONCE:
                yield _frame(collected)
                collected.clear()
        if collected:
            yield _frame(collected)

    def _messages(self, topic: str, partition: int, wanted: Sequence[int]) -> Iterator[Message]:
        if self._next != (topic, partition, wanted[0]):
            self._consumer.assign([TopicPartition(topic, partition, wanted[0])])
        self._next = None
        for offset in wanted:
            message = self._poll(topic, partition)
            while (message.offset() or 0) < offset:
                message = self._poll(topic, partition)
            if message.offset() != offset:
                raise MissingError(f"{topic}/{partition}: Kafka has no message at offset {offset}")
            yield message
        self._next = topic, partition, wanted[-1] + 1

    def _poll(self, topic: str, partition: int) -> Message:
        message = self._consumer.poll(KAFKA_TIMEOUT)
        if message is None:
            raise MissingError(f"{topic}/{partition}: no message within {KAFKA_TIMEOUT:.0f} s")
        error = message.error()
        if error is not None:
            if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                right = missing_right(self._settings, "Describe", f"group {GROUP}")
                raise MissingError(f"Kafka: {right}")
            raise MissingError(f"{topic}/{partition}: {error.str()}")
        return message


def _frame(messages: Sequence[Message]) -> pl.DataFrame:
    columns = {
        "value": [message.value() for message in messages],
        "endpoint": [endpoint_of(_headers(message)) for message in messages],
        # Kafka's timestamps are in milliseconds, the column's in microseconds.
        "timestamp": [message.timestamp()[1] * MILLISECOND for message in messages],
        "topic": [message.topic() for message in messages],
        "partition": [message.partition() for message in messages],
        "offset": [message.offset() for message in messages],
    }
    return pl.DataFrame(columns, SCHEMA)


def _headers(message: Message) -> list[tuple[str, Any]]:
    """Return the headers. A consumed message has a list; only a producer accepts a dictionary."""
    return cast(list[tuple[str, Any]], message.headers() or [])


def endpoint_of(headers: Collection[tuple[str, Any]]) -> str | None:
    """Return the host in the first `endpoint` header; None if it is missing or invalid.

    messages.endpoint does the same in Spark.
    """
    named = [value for name, value in headers if name == ENDPOINT_HEADER]
    try:
        host = (named[0] or b"").decode() if named else ""
    except UnicodeDecodeError:
        return None
    return host if re.fullmatch(HOST, host) else None
