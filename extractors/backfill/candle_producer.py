"""Send messages to topic `exchange_candles`, one at a time.

Guarantee: a message whose `send` returned is written at least once. Candles are upserted, so a duplicate
changes nothing.
"""

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.kafka_client import client_configuration
from core.message import FRAMING, MAX_MESSAGE_BYTES
from core.settings import Settings
from core.topics import EXCHANGE_CANDLES
from extractors.to_kafka.topic_reader import TopicError
from extractors.to_kafka.topics import RETRY_INTERVAL, ConnectionProblem, explain, find_topics

TIMEOUT = 30.0
"""Seconds until an unconfirmed message fails."""

CONFIGURATION = {
    "acks": "all",
    "compression.type": "zstd",
    "linger.ms": 0,
    "message.timeout.ms": round(TIMEOUT * 1000),
    "message.max.bytes": MAX_MESSAGE_BYTES + FRAMING,
    "log_level": 2,
}


class TooLargeError(TopicError):
    """Kafka refuses the message for its size, now and later."""


class CandleProducer:
    """Producer of the backfill's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection_problem = ConnectionProblem()
        self._kafka = confluent_kafka.Producer(
            {
                **client_configuration(settings),
                **CONFIGURATION,
                "error_cb": self._connection_problem.note,
            }
        )

    def poll(self) -> None:
        """Run the callbacks of failed connections. Until then the client queues them."""
        self._kafka.poll(0)

    def check_topic(self) -> None:
        """Raise TopicError unless the topic exists: Kafka might create it, with default settings."""
        topics = (EXCHANGE_CANDLES,)
        found, problem = find_topics(
            self._kafka, topics, self._settings, RETRY_INTERVAL, self._connection_problem
        )
        if not found:
            raise TopicError(problem)

    def send(self, key: bytes, value: bytes) -> None:
        """Send one message, and return when Kafka has it.

        Raise TooLargeError if Kafka refuses it for its size, and TopicError if it is not confirmed for any
        other reason. After a TopicError, Kafka may have it nevertheless.
        """
        failures: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error:
                failures.append(error)

        try:
            self._kafka.produce(EXCHANGE_CANDLES, value, key, on_delivery=on_delivery)
        except KafkaException as error:
            failures.append(error.args[0])
        self._kafka.flush()
        for failure in failures:
            is_too_large = failure.code() == KafkaError.MSG_SIZE_TOO_LARGE
            kind = TooLargeError if is_too_large else TopicError
            reason = explain(failure, EXCHANGE_CANDLES, self._settings)
            raise kind(f"topic {EXCHANGE_CANDLES}: {reason}")
