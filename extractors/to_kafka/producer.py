"""Send batches to an exchange's raw topic.

Guarantee of one producer: what send() has taken is written once and in order per partition, however
long Kafka is unavailable (idempotence, acks=all, no time limit). A partition has one message in
flight, so it shall not matter what Kafka remembers of the producer. When a message fails for another
reason than itself, nothing that follows it in its partition is written, and the producer is done; a
new one goes on after what Kafka has. A message that Kafka refuses for itself, too large or invalid,
is named, counted and left out.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.kafka_client import client_configuration
from core.message import (
    ENDPOINT_HEADER,
    JOURNAL_HEADER,
    MAX_MESSAGE_BYTES,
    POSITION_HEADER,
    encode_message,
    message_key,
    split_messages,
)
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from extractors.journal.reader import Line
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_kafka.batcher import Batch
from extractors.to_kafka.delivered import Delivered
from extractors.to_kafka.topics import explain, wait_for_topics

log = logging.getLogger(__name__)

WAIT_INTERVAL = 0.5
"""Seconds between two looks whether the stop's time is over."""

CLOSE_LIMIT = 1.0
"""Seconds for the reports of messages that are given up."""

FRAMING = 48_588
"""Bytes beside a message's items: key, headers and the rest of the batch. The broker's default limit
is 1,048,588."""

CONFIGURATION = {
    "enable.idempotence": True,
    # Without it, messages behind one that fails would be written, and their positions would hide it.
    "enable.gapless.guarantee": True,
    "acks": "all",
    # 5.2 : 1 on these messages at 3.3 ms of CPU per MB (lz4 2.9 : 1 at 2.0, gzip 5.2 : 1 at 40).
    "compression.type": "zstd",
    # A batch is one message per partition already.
    "linger.ms": 0,
    # A message waits for Kafka without a limit.
    "message.timeout.ms": 0,
    "reconnect.backoff.max.ms": 1000,
    "message.max.bytes": MAX_MESSAGE_BYTES + FRAMING,
    # Its own log repeats each failed attempt to connect; what matters of it is said below.
    "log_level": 2,
}


ABOUT_ANOTHER = (KafkaError._FATAL, KafkaError._GAPLESS_GUARANTEE)  # noqa: SLF001 - public
"""Fatal errors that follow from another one."""


class ProducerError(Exception):
    """This producer can't go on; another one can."""


class TooLargeError(ProducerError):
    """The topic takes only smaller messages."""


class Pending:
    """A batch, and how many of its messages are not confirmed yet."""

    def __init__(self, batch: Batch) -> None:
        self.end = batch.end
        self.received_at = batch.received_at
        self.messages = 1
        """One more than that while not all are handed over."""


class Producer:
    """Writes what one exchange sends, for one thread. `stop` says when waiting for Kafka is over.

    `delivered` is brought up to date as Kafka confirms. `refused` are the positions of items that
    Kafka has refused for themselves; more are added. A message has at most `limit` bytes of items, or
    one item.
    """

    def __init__(
        self,
        exchange: str,
        settings: Settings,
        journal_id: str,
        delivered: Delivered,
        refused: set[int],
        limit: int,
        stop: Shutdown,
        metrics: Metrics,
    ) -> None:
        self._exchange = exchange
        self._topic = TOPIC_OF_EXCHANGE[exchange]
        self._settings = settings
        self._journal_id = journal_id
        self._delivered = delivered
        self._refused = refused
        self._limit = limit
        self._stop = stop
        self._metrics = metrics
        self._pending: deque[Pending] = deque()
        self._in_flight: set[int] = set()
        self._delivering = False
        self._error: ProducerError | None = None
        self._fatal: KafkaError | None = None
        self._kafka = confluent_kafka.Producer(
            {
                **client_configuration(settings),
                **CONFIGURATION,
                "batch.size": limit,
                "error_cb": self._on_error,
            }
        )

    def wait_for_topic(self) -> int | None:
        """Return the topic's number of partitions once it exists; None when the stop came first."""
        partitions = wait_for_topics(self._kafka, [self._topic], self._settings, self._stop)
        return partitions[self._topic] if partitions else None

    def send(self, batch: Batch, taken: Mapping[int, int]) -> None:
        """Hand over one JSON array per partition.

        Block until Kafka has confirmed the message before in each partition. When the stop's time is
        over, what is left stays in the journal. `taken` are the positions up to which Kafka has the
        partitions already. Raise ProducerError.
        """
        pending = Pending(batch)
        self._pending.append(pending)
        self._metrics.batches.inc()
        for partition, lines in batch.by_partition(self._delivered.partition_of).items():
            for part in self._messages(partition, lines, taken):
                if not self._wait_for(partition):
                    return
                self._hand_over(pending, partition, part, batch.endpoint)
        pending.messages -= 1
        self.poll()

    def poll(self, timeout: float = 0.0) -> None:
        """Serve the delivery reports, waiting up to `timeout` seconds for one. Raise ProducerError."""
        self._serve(timeout)
        self._move_on()

    def flush(self) -> int:
        """Wait for what is pending while the stop allows. Return how many messages still are.

        Raise ProducerError.
        """
        # Not by the client's own flush: it calls back while a fatal error is raised.
        while len(self._kafka) and (left := self._stop.seconds_left()):
            self.poll(min(left, WAIT_INTERVAL))
        return len(self._kafka)

    def close(self) -> None:
        """Give up what is not confirmed, after a second for what is in flight."""
        self._kafka.purge(in_flight=False)
        self._wait_for_reports(lambda: not len(self._kafka))
        self._kafka.purge()
        self._wait_for_reports(lambda: not len(self._kafka))

    @property
    def oldest_pending(self) -> int | None:
        """When the oldest item came that Kafka has not confirmed; microseconds since the epoch."""
        return self._pending[0].received_at if self._pending else None

    def _messages(
        self, partition: int, lines: list[Line], taken: Mapping[int, int]
    ) -> list[list[Line]]:
        """Return the lines of each message: without what Kafka has, or has refused."""
        first = taken.get(partition, 0)
        if lines[0].position < first or self._refused:
            lines = [
                line
                for line in lines
                if line.position >= first and line.position not in self._refused
            ]
        messages: list[list[Line]] = []
        for texts in split_messages([line.text for line in lines], self._limit):
            part, lines = lines[: len(texts)], lines[len(texts) :]
            messages.append(part)
        return messages

    def _wait_for(self, partition: int) -> bool:
        """Block until the partition has no message in flight. Return False when the stop came first.

        Kafka takes any sequence from a producer that it does not know, as in a topic that was created
        again: it would write the next message though the one before failed.
        """
        while left := self._stop.seconds_left():
            if partition not in self._in_flight:
                return True
            self.poll(min(left, WAIT_INTERVAL))
        return False

    def _hand_over(
        self, pending: Pending, partition: int, lines: list[Line], endpoint: str
    ) -> None:
        value = encode_message([line.text for line in lines])
        headers: list[tuple[str, str | bytes | None]] = [
            (ENDPOINT_HEADER, endpoint.encode()),
            (JOURNAL_HEADER, self._journal_id.encode()),
            (POSITION_HEADER, str(lines[-1].position + 1).encode()),
        ]
        key = message_key(self._exchange, partition)
        on_delivery = partial(self._on_delivery, pending, partition, lines)
        try:
            self._kafka.produce(self._topic, value, key, partition, on_delivery, headers=headers)
        except BufferError as error:
            raise self._error or ProducerError(f"topic {self._topic}: {error}") from error
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise self._failure(cause) from error
            self._refuse(cause, partition, lines, len(value))
        else:
            pending.messages += 1
            self._in_flight.add(partition)

    def _serve(self, timeout: float) -> None:
        try:
            self._kafka.poll(timeout)
        except KafkaException as error:
            self._fatal = error.args[0]

    def _wait_for_reports(self, is_enough: Callable[[], bool]) -> None:
        """Serve reports for up to a second, whatever the producer's state."""
        end = time.monotonic() + CLOSE_LIMIT
        while not is_enough() and (left := end - time.monotonic()) > 0:
            self._serve(left)

    def _failure(self, error: KafkaError) -> ProducerError:
        """Return the cause of an error.

        The client raises a fatal error before it reports the message that it may be about.
        """
        self._wait_for_reports(lambda: self._error is not None or not self._is_vague(error))
        if self._error and self._is_vague(error):
            return self._error
        return ProducerError(self._reason(self._fatal or error))

    def _is_vague(self, error: KafkaError) -> bool:
        return (self._fatal or error).code() in ABOUT_ANOTHER

    def _reason(self, error: KafkaError) -> str:
        return f"topic {self._topic}: {explain(error, self._topic, self._settings)}"

    def _move_on(self) -> None:
        while self._pending and not self._pending[0].messages:
            self._delivered.position = self._pending.popleft().end
        if self._fatal:
            raise self._failure(self._fatal)
        if self._error:
            raise self._error

    def _on_error(self, error: KafkaError) -> None:
        unavailable = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - public, underscore and all
        if self._delivering and error.code() == unavailable:
            self._delivering = False
            log.warning("kafka unavailable topic=%s pending=%d", self._topic, len(self._kafka))

    def _on_delivery(
        self,
        pending: Pending,
        partition: int,
        lines: list[Line],
        error: KafkaError | None,
        message: Message,
    ) -> None:
        if error:
            self._failed(error, message, lines)
            return
        pending.messages -= 1
        self._in_flight.discard(partition)
        offset = message.offset()
        if offset is not None and offset >= 0:
            place = self._delivered.places[partition]
            place.next_offset, place.position = offset + 1, lines[-1].position + 1
        self._metrics.messages.inc()
        self._metrics.delivery_delay.observe(message.latency() or 0.0)
        if not self._delivering:
            self._delivering = True
            log.info("delivering topic=%s", self._topic)

    def _failed(self, error: KafkaError, message: Message, lines: list[Line]) -> None:
        """The first failure is the cause; those that follow it are its consequences."""
        is_too_large = error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        # The client puts no other message into the batch of one that fills it.
        is_alone = len(lines) == 1 and len(message) >= self._limit
        if error.code() == KafkaError.INVALID_RECORD or (is_too_large and is_alone):
            self._refuse(error, message.partition(), lines, len(message))
            is_too_large = False
        if not self._error:
            reason = self._reason(error)
            self._error = TooLargeError(reason) if is_too_large else ProducerError(reason)

    def _refuse(
        self, error: KafkaError, partition: int | None, lines: list[Line], size: int
    ) -> None:
        self._refused.update(line.position for line in lines)
        self._metrics.delivery_errors.inc()
        log.error(
            "message refused topic=%s partition=%s items=%d first=%d bytes=%d reason=%r",
            self._topic,
            partition,
            len(lines),
            lines[0].position,
            size,
            str(error),
        )
