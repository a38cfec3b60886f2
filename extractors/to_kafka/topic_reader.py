"""Read a topic to its end, without joining a group or committing offsets."""

from collections.abc import Iterator, Mapping
from math import inf

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from core.kafka_client import client_configuration, missing_right
from core.settings import Settings

GROUP = "extractors"
"""Group that librdkafka looks up, though nothing joins it."""


class TopicError(OSError):
    """A topic can't be read or written now."""


def topic_error(error: KafkaException, topic: str, settings: Settings) -> TopicError:
    """Return why a topic can't be read; for an authorisation error, also the missing right."""
    match error.args[0].code():
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            right = missing_right(settings, "Read", f"topic {topic}")
        case KafkaError.GROUP_AUTHORIZATION_FAILED:
            right = missing_right(settings, "Describe", f"group {GROUP}")
        case _:
            return TopicError(f"topic {topic}: {error}")
    return TopicError(f"topic {topic}: {error}: {right}")


def groupless_consumer(settings: Settings) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        {
            **client_configuration(settings),
            "group.id": GROUP,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            # At the end of a partition Kafka would wait half a second for more.
            "fetch.wait.max.ms": 10,
            "log_level": 2,
        }
    )


def messages_to_the_end(
    consumer: Consumer,
    topic: str,
    starts: Mapping[int, int],
    timeout: float,
    ends: Mapping[int, int] | None = None,
) -> Iterator[Message]:
    """Yield each partition's messages from its start up to, but not including, its end.

    Without `ends`, read until Kafka has no more messages. Raise TopicError after `timeout` seconds without
    a message, or KafkaException.
    """
    unread = set(starts)
    consumer.assign([TopicPartition(topic, each, starts[each]) for each in unread])
    while unread:
        message = consumer.poll(timeout)
        if message is None:
            raise TopicError(f"topic {topic}: no message of {sorted(unread)} for {timeout:g} s")
        partition = message.partition()
        if error := message.error():
            # An error of the whole client, such as a missing right, has neither partition nor offset.
            if error.code() != KafkaError._PARTITION_EOF or partition is None:  # noqa: SLF001 - public despite its underscore
                raise KafkaException(error)
            unread.discard(partition)
            continue
        offset = message.offset()
        assert partition is not None and offset is not None
        end = ends[partition] if ends else inf
        if offset < end:
            yield message
        # The last offset may have no message, such as that of a transaction's end.
        if offset >= end - 1:
            unread.discard(partition)
