"""Read a topic to its end, without joining a group or committing offsets."""

from collections.abc import Iterator, Mapping
from math import inf

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition


class TopicError(OSError):
    """A topic can't be read now."""


def groupless_consumer(configuration: Mapping[str, str]) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        {
            **configuration,
            "group.id": "extractors",
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

    Without `ends`, read until Kafka has no more messages. Raise TopicError, also after `timeout`
    seconds without a message, or KafkaException.
    """
    unread = set(starts)
    consumer.assign([TopicPartition(topic, each, starts[each]) for each in unread])
    while unread:
        message = consumer.poll(timeout)
        if message is None:
            raise TopicError(f"topic {topic}: no message of {sorted(unread)} for {timeout:g} s")
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        if error := message.error():
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - public despite its underscore
                raise TopicError(f"{topic}/{partition}: {error}")
            unread.discard(partition)
            continue
        end = ends[partition] if ends else inf
        if offset < end:
            yield message
        # The last offset may have no message, such as that of a transaction's end.
        if offset >= end - 1:
            unread.discard(partition)
