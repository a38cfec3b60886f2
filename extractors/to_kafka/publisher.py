"""Publish single messages to the small topics, `feed_events` and `instruments`.

Guarantee: each message is written at least once and in order per key, however long Kafka is
unavailable, unless the process ends first. A message that Kafka refuses as too large or invalid is logged
and not sent again. A duplicate changes nothing for readers.
"""

import logging
from collections import deque
from functools import partial
from threading import Thread
from typing import NamedTuple

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.kafka_client import client_configuration
from core.message import Item, encode_item
from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from extractors.shutdown import Shutdown
from extractors.to_kafka.topics import DEFAULTS, ConnectionProblem, explain, wait_for_topics

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Seconds between two checks for new messages."""

RETRY_INTERVAL = 2.0
"""Seconds from a failure to the next attempt."""

CONFIGURATION = {
    "acks": "all",
    # Keeps the order without idempotence, which can fail for good; duplicates are harmless.
    "max.in.flight.requests.per.connection": 1,
    "message.timeout.ms": 0,
    # Kafka refuses a batch as a whole, and only a message that is too large by itself may be dropped.
    "batch.num.messages": 1,
    "log_level": 2,
}

PERMANENT_ERRORS = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)
"""Errors that a retry can't cure."""


class Outgoing(NamedTuple):
    topic: str
    key: bytes
    value: bytes


class Publisher(Thread):
    """Thread that publishes messages. An unavailable small topic delays nothing else."""

    def __init__(self, settings: Settings, stop: Shutdown) -> None:
        super().__init__(name="publisher", daemon=True)
        self._settings = settings
        self._stop_requested = stop
        self._waiting: deque[Outgoing] = deque()
        self._returned: list[Outgoing] = []
        self._is_closed = False
        self._failed = ""
        self._connection_problem = ConnectionProblem()
        self._kafka = confluent_kafka.Producer(
            {
                **DEFAULTS,
                **client_configuration(settings),
                **CONFIGURATION,
                "error_cb": self._connection_problem.note,
            }
        )

    def publish(self, topic: str, key: bytes, message: Item) -> None:
        """Queue one JSON object; the key chooses the partition. Thread-safe; never blocks."""
        self._waiting.append(Outgoing(topic, key, encode_item(message)))

    def close(self) -> None:
        """End the thread when all messages are delivered. The caller must not publish any more."""
        self._is_closed = True

    def unpublished(self) -> int:
        """Return the number of messages that Kafka has not confirmed."""
        return len(self._waiting) + len(self._returned) + len(self._kafka)

    def run(self) -> None:
        topics = (FEED_EVENTS, INSTRUMENTS)
        if wait_for_topics(
            self._kafka, topics, self._settings, self._stop_requested, self._connection_problem
        ):
            self._publish_until_closed()
        if unpublished := self.unpublished():
            log.warning("publisher ended unpublished=%d", unpublished)

    def _publish_until_closed(self) -> None:
        while self._stop_requested.seconds_left():
            # Checked first: a closed publisher gets no more messages.
            is_closed = self._is_closed
            self._send()
            self._kafka.poll(WAKE_INTERVAL)
            if is_closed and not self.unpublished():
                return
            if self._failed:
                log.warning("publishing failed retry_in=%g reason=%r", RETRY_INTERVAL, self._failed)
                self._failed = ""
                self._stop_requested.pause(RETRY_INTERVAL)

    def _send(self) -> None:
        # Failed messages go first: the start of an event precedes its end.
        self._waiting.extendleft(reversed(self._returned))
        self._returned.clear()
        while self._waiting and not self._failed:
            outgoing = self._waiting.popleft()
            on_delivery = partial(self._on_delivery, outgoing)
            try:
                self._kafka.produce(
                    outgoing.topic, outgoing.value, outgoing.key, on_delivery=on_delivery
                )
            except BufferError as error:
                self._waiting.appendleft(outgoing)
                self._failed = str(error)
            except KafkaException as error:
                self._take_back(outgoing, error.args[0])

    def _on_delivery(self, outgoing: Outgoing, error: KafkaError | None, message: Message) -> None:
        if error:
            self._take_back(outgoing, error)

    def _take_back(self, outgoing: Outgoing, error: KafkaError) -> None:
        reason = f"topic {outgoing.topic}: {explain(error, outgoing.topic, self._settings)}"
        if error.code() in PERMANENT_ERRORS:
            log.error("message refused key=%r reason=%r", outgoing.key, reason)
        else:
            self._returned.append(outgoing)
            self._failed = reason
