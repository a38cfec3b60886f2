"""Ask the brokers for partitions, and for the offsets that they hold."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.kafka_client import client_configuration, missing_right
from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS, INSTRUMENTS
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offsets import Offsets

log = logging.getLogger(__name__)

KAFKA_TIMEOUT = 30.0
"""Timeout of a request, in seconds."""

GROUP = "spark_jobs"
"""Group that librdkafka looks up before it reads a record, though nothing joins it."""

NOT_AUTHORISED = re.compile(r"Not authorized to access topics: \[(.+?)\]")
"""Text of Kafka's Java client in the exception of a query."""

NO_RIGHT = KafkaError.TOPIC_AUTHORIZATION_FAILED

IN_ELECTION = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
ELECTION_PAUSE = 0.2
"""Pause before a retry, in seconds."""

ONLY_IN_KAFKA = (INSTRUMENTS, FEED_EVENTS, EXCHANGE_CANDLES)
"""Topics whose records no other store keeps. Stopping a job would not bring back expired ones."""

EXPIRED = "expired unread"
"""Why messages that a job skips are lost."""

Answer = TypeVar("Answer")


class OffsetError(JobError):
    """The topic does not hold the next offset. The message says which one and what to do."""


class RightError(JobError):
    """The brokers do not let this user read. The message names the missing right."""


def starting_offsets(settings: Settings, topics: Iterable[str], progress: Offsets) -> Offsets:
    """Return the sink's next offset of every partition, or Kafka's oldest if the sink has none.

    Raise OffsetError if Kafka does not hold the next offset or a topic does not exist. In ONLY_IN_KAFKA,
    expired records are no error: log and skip them.
    """
    starting = {
        (topic, number): starting_offset(topic, number, progress.get((topic, number)), low, high)
        for (topic, number), (low, high) in kept_offsets(settings, topics).items()
    }
    log_lost(starting, progress, EXPIRED)
    return starting


def skip_expired(settings: Settings, progress: Offsets) -> Offsets:
    """Return the progress, or Kafka's oldest offset where the next record has expired. Log what is lost.

    Only for `raw/`: a record that has expired in Kafka and is not in `raw/` is lost.
    """
    kept = kept_offsets(settings, sorted({topic for topic, _partition in progress}))
    starting = {
        each: max(progress[each], low) for each, (low, _) in kept.items() if each in progress
    }
    log_lost(starting, progress, EXPIRED)
    return starting


def log_lost(begins: Offsets, progress: Offsets, reason: str) -> None:
    """Log the messages after the progress that are lost, because reading begins after them."""
    for (topic, partition), begin in sorted(begins.items()):
        next_offset = progress.get((topic, partition), begin)
        if next_offset < begin:
            log.error(
                "lost topic=%s partition=%d first=%d last=%d reason=%r",
                *(topic, partition, next_offset, begin - 1, reason),
            )


def starting_offset(
    topic: str, partition: int, next_offset: int | None, low: int, high: int
) -> int:
    """Return the offset to start at. `low` is the oldest offset, `high` the next one to be written.

    Raise OffsetError if `next_offset` is not between them. In ONLY_IN_KAFKA, it may be below `low`.
    """
    if next_offset is None:
        return low
    if next_offset > high:
        raise OffsetError(
            f"{topic}/{partition} ends at offset {high}, but the next to read is {next_offset}: Kafka "
            f"has lost its newest messages. To continue: {after_loss(topic, high)}. If the topic was created "
            "again, and Kafka is too old for topic ids, delete its rows in kafka_progress, and let the "
            "lake's jobs write to a new S3_BUCKET"
        )
    if next_offset < low and topic not in ONLY_IN_KAFKA:
        raise OffsetError(
            f"{topic}/{partition} begins at offset {low}, but the next to read is {next_offset}: "
            f"{low - next_offset} messages have expired unread. To continue: make rebuild, which "
            "reads them from raw/ as far as it has them, then make jobs"
        )
    return max(next_offset, low)


def after_loss(topic: str, high: int) -> str:
    """Return what to do after Kafka lost the newest records of a topic and now ends at `high`.

    Extractors send items of raw topics again, in other messages, which take the places of the lost ones.
    """
    if topic in ONLY_IN_KAFKA:
        return f"set its next_offset in kafka_progress to {high}"
    return "make stop-jobs, then see docs/lake.md, After Kafka lost its newest records"


def kept_offsets(
    settings: Settings, topics: Iterable[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return the oldest offset of each partition, and the one after its newest record.

    Raise OffsetError if a topic does not exist, RightError if this user may not read it.
    """
    found: dict[tuple[str, int], tuple[int, int]] = {}
    with closing(metadata_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                for number in partitions_of(consumer, topic):
                    ask = partial(
                        consumer.get_watermark_offsets,
                        TopicPartition(topic, number),
                        timeout=KAFKA_TIMEOUT,
                    )
                    found[topic, number] = retry_during_election(ask)
    return found


def retry_during_election(ask: Callable[[], Answer], timeout: float = KAFKA_TIMEOUT) -> Answer:
    """Return the leader's answer. Retry for up to `timeout` seconds while a leader is being elected."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in IN_ELECTION or time.monotonic() > deadline:
                raise
        time.sleep(ELECTION_PAUSE)


def offsets_at(
    settings: Settings, kept: dict[tuple[str, int], tuple[int, int]], at: datetime
) -> dict[tuple[str, int], int]:
    """Return the first offset of each partition that Kafka stamped at `at` or later.

    If there is none, return the partition's end. `kept` is the result of kept_offsets.
    """
    milliseconds = round(at.timestamp() * 1000)
    asked = [TopicPartition(topic, number, milliseconds) for topic, number in kept]
    with closing(metadata_consumer(settings)) as consumer:
        answered = retry_during_election(partial(_offsets_for_times, consumer, asked))
    found: dict[tuple[str, int], int] = {}
    for each in answered:
        low, high = kept[each.topic, each.partition]
        # A negative offset means that there is none.
        found[each.topic, each.partition] = max(low, each.offset) if each.offset >= 0 else high
    return found


def _offsets_for_times(consumer: Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Return an answer for each partition. Raise KafkaException if one has an error."""
    answered = consumer.offsets_for_times(asked, timeout=KAFKA_TIMEOUT)
    for each in answered:
        if each.error is not None:
            raise KafkaException(each.error)
    return answered


def partitions_of_topics(settings: Settings, topics: Iterable[str]) -> list[tuple[str, int]]:
    """Return every partition of the topics. Raise OffsetError if a topic does not exist."""
    found: list[tuple[str, int]] = []
    with closing(metadata_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                found += [(topic, number) for number in partitions_of(consumer, topic)]
    return found


def metadata_consumer(settings: Settings) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        {
            **client_configuration(settings),
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            # Errors that matter are raised. If the consumer is closed while it logs in at the group's
            # coordinator, librdkafka would log an error (level 3) between the lines of a command's output.
            "log_level": 2,
        }
    )


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    metadata = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == NO_RIGHT:
            raise KafkaException(metadata.error)
        raise OffsetError(f"topic {topic}: {metadata.error.str()}. Was it created?")
    return sorted(metadata.partitions)


def raise_if_unauthorized(error: Exception, settings: Settings) -> None:
    """Raise RightError if a query failed because the brokers do not let this user read."""
    if "TopicAuthorizationException" not in str(error):
        return
    named = NOT_AUTHORISED.search(str(error))
    topics = f"topic {named[1]}" if named else "the topics that the query reads"
    raise RightError(f"Kafka: {missing_right(settings, 'Read', topics)}") from error


@contextmanager
def rights_explained(settings: Settings, topic: str) -> Iterator[None]:
    """Convert an authorisation error into RightError, which names the missing right."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != NO_RIGHT:
            raise
        raise RightError(f"Kafka: {missing_right(settings, 'Read', f'topic {topic}')}") from error
