"""Send batches to an exchange's raw topic.

Guarantee of one producer: each item passed to send() is written once and in order per partition,
however long Kafka is unavailable (idempotence, acks=all, no timeout). A partition has one message in
flight, so the guarantee does not depend on what Kafka remembers of the producer. An item that Kafka
refuses as too large, or a message that it refuses as invalid, is logged, counted and not sent again. If the
client refuses it before sending, the producer goes on. After a refusal by the broker, or any other failure,
nothing more is written to that partition and the producer can't be used again; a new one resumes after
what Kafka has, with smaller messages after a TooLargeError.
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
    FRAMING,
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
from extractors.to_kafka.topics import DEFAULTS, ConnectionProblem, explain, wait_for_topics

log = logging.getLogger(__name__)

WAIT_INTERVAL = 0.5
"""Maximum seconds between two checks of the shutdown's deadline."""

REPORTS_LIMIT = 1.0
"""Maximum seconds of each wait for delivery reports, after a failure or in close()."""

CONFIGURATION = {
    "enable.idempotence": True,
    # A second safeguard: the client stops after a failed message, as later positions would hide the gap.
    "enable.gapless.guarantee": True,
    "acks": "all",
    # Compresses these messages 5.2 : 1 for 3.3 ms of CPU per MB; lz4 2.9 : 1 for 2.0, gzip 5.2 : 1 for 40.
    "compression.type": "zstd",
    # A batch is one message per partition already.
    "linger.ms": 0,
    # A message waits for Kafka without a limit.
    "message.timeout.ms": 0,
    "message.max.bytes": MAX_MESSAGE_BYTES + FRAMING,
    # The client's log repeats each failed attempt to connect; _on_error logs what matters.
    "log_level": 2,
}


CONSEQUENCES = (KafkaError._FATAL, KafkaError._GAPLESS_GUARANTEE)  # noqa: SLF001 - public
"""Fatal errors that are consequences of another error."""


class ProducerError(Exception):
    """This producer can't be used again; a new one may succeed."""


class TooLargeError(ProducerError):
    """The topic accepts only smaller messages."""


class Pending:
    """A batch that Kafka has not confirmed completely."""

    def __init__(self, batch: Batch) -> None:
        self.end = batch.end
        self.received_at = batch.received_at
        self.messages = 1
        """Unconfirmed messages, plus 1 until send() has handed over the whole batch."""


class Producer:
    """Producer of one exchange's raw topic, for one thread. `stop` limits the wait for Kafka.

    It updates `delivered` as Kafka confirms messages, and adds to `refused` the positions of items
    that Kafka refuses as too large or invalid. A message has up to `limit` bytes of items, or one item.
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
        self._connection_problem = ConnectionProblem()
        self._kafka = confluent_kafka.Producer(
            {
                **DEFAULTS,
                **client_configuration(settings),
                **CONFIGURATION,
                "error_cb": self._on_error,
            }
        )

    def wait_for_topic(self) -> int | None:
        """Return the topic's number of partitions once it exists; None after the deadline.

        Raise ProducerError.
        """
        try:
            partitions = wait_for_topics(
                self._kafka, [self._topic], self._settings, self._stop, self._connection_problem
            )
        except KafkaException as error:
            self._fatal = error.args[0]
            raise self._failure(error.args[0]) from error
        return partitions[self._topic] if partitions else None

    def send(self, batch: Batch, taken: Mapping[int, int]) -> None:
        """Send a batch as one JSON array per partition, or several if it is large.

        Block until Kafka has confirmed the previous message of each partition. After the deadline the
        rest stays in the journal. `taken` maps a partition to the position before which Kafka already has
        all of its items. Raise ProducerError.
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
        """Process the delivery reports, waiting up to `timeout` seconds for one. Raise ProducerError."""
        self._serve(timeout)
        self._move_on()

    def flush(self) -> int:
        """Wait for pending messages until the deadline. Return the number still pending.

        Raise ProducerError.
        """
        # Not with the client's flush(): it runs callbacks while it raises a fatal error.
        while len(self._kafka) and (left := self._stop.seconds_left()):
            self.poll(min(left, WAIT_INTERVAL))
        return len(self._kafka)

    def close(self) -> None:
        """Discard queued messages, and after up to 1 s those in flight."""
        self._kafka.purge(in_flight=False)
        self._wait_for_reports(lambda: not len(self._kafka))
        self._kafka.purge()
        self._wait_for_reports(lambda: not len(self._kafka))

    @property
    def oldest_pending(self) -> int | None:
        """When the oldest item that Kafka has not confirmed was received, in µs since the epoch."""
        return self._pending[0].received_at if self._pending else None

    def _messages(
        self, partition: int, lines: list[Line], taken: Mapping[int, int]
    ) -> list[list[Line]]:
        """Return the lines of each message, without items that Kafka has or has refused."""
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
        """Block until the partition has no message in flight. Return False after the deadline.

        Kafka accepts any sequence from a producer that it does not know, as in a topic that was created
        again: it would write the next message even if the previous one failed.
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
        """Process delivery reports for up to 1 s, even after a fatal error."""
        end = time.monotonic() + REPORTS_LIMIT
        while not is_enough() and (left := end - time.monotonic()) > 0:
            self._serve(left)

    def _failure(self, error: KafkaError) -> ProducerError:
        """Return the error to raise.

        If `error` is only a consequence, wait up to 1 s for the report of its cause: the client raises a
        fatal error before it reports the message that caused it.
        """
        self._wait_for_reports(lambda: self._error is not None or not self._is_vague(error))
        if self._error and self._is_vague(error):
            return self._error
        return ProducerError(self._reason(self._fatal or error))

    def _is_vague(self, error: KafkaError) -> bool:
        return (self._fatal or error).code() in CONSEQUENCES

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
        self._connection_problem.note(error)
        unavailable = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - public despite its underscore
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
            place = self._delivered.partitions[partition]
            place.next_offset, place.position = offset + 1, lines[-1].position + 1
        self._metrics.messages.inc()
        self._metrics.delivery_delay.observe(message.latency() or 0.0)
        if not self._delivering:
            self._delivering = True
            log.info("delivering topic=%s", self._topic)

    def _failed(self, error: KafkaError, message: Message, lines: list[Line]) -> None:
        """Record a failure. The first one is the cause; later ones are its consequences."""
        is_too_large = error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        if error.code() == KafkaError.INVALID_RECORD or (is_too_large and len(lines) == 1):
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
