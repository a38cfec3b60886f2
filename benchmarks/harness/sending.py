"""Produce messages of ticks, as the extractors do."""

from collections.abc import Callable

from confluent_kafka import Message, Producer

from benchmarks.harness.ticks import Ticks
from core.message import ENDPOINT_HEADER, message_key
from core.topics import EXCHANGE_OF_TOPIC
from extractors.to_kafka.producer import CONFIGURATION
from infra.stack import StackError

Delivered = Callable[[Message], None]


def producer(bootstrap_servers: str) -> Producer:
    return Producer({**CONFIGURATION, "bootstrap.servers": bootstrap_servers})


def send(to: Producer, message: Ticks, delivered: Delivered = lambda _message: None) -> None:
    """Queue a message; block while the producer's queue is full. If Kafka refuses the message, the
    producer's `poll` or `flush` raises StackError.
    """

    def answered(error: object, found: Message) -> None:
        if error:
            raise StackError(f"Kafka refused a message: {error}")
        delivered(found)

    while True:
        try:
            to.produce(
                message.topic,
                message.value,
                message_key(EXCHANGE_OF_TOPIC[message.topic], message.partition),
                message.partition,
                headers=[(ENDPOINT_HEADER, "127.0.0.1")],
                on_delivery=answered,
            )
            return
        except BufferError:
            to.poll(1)
