"""To Kafka: batches to the exchange's raw topic, single messages to the small topics.

What it promises: what produce() or publish() has taken is written once and in order per partition,
however long Kafka is away (idempotence, acks=all, no time limit), as long as this process lives.
What Kafka refuses for good is logged by name and counted.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.message import (
    ENDPOINT_HEADER,
    JOURNAL_HEADER,
    POSITION_HEADER,
    Item,
    encode_item,
    encode_message,
    message_key,
    split_messages,
)
from core.topics import FEED_EVENTS, INSTRUMENTS, TOPIC_OF_EXCHANGE
from extractors.batcher import Batch
from extractors.metrics import Metrics
from extractors.stop import Stop

log = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]

OnDelivery = Callable[[KafkaError | None, Message], None]

PARTITION_BY_KEY = -1

MOST_PENDING = 500
"""Messages that wait for Kafka in memory; beyond them the journal keeps what comes."""

RETRY_INTERVAL = 2.0
"""Seconds between two looks for the topic."""

ROOM_INTERVAL = 0.5
"""Seconds between two looks whether fewer messages are pending."""

CONFIGURATION = {
    "enable.idempotence": True,
    "acks": "all",
    # 5.2 : 1 on these messages at 3.3 ms of CPU per MB (lz4 2.9 : 1 at 2.0, gzip 5.2 : 1 at 40).
    "compression.type": "zstd",
    "linger.ms": 5,
    # A message waits for Kafka as long as it takes.
    "message.timeout.ms": 0,
    "reconnect.backoff.max.ms": 1000,
    # More than MOST_PENDING of the largest: the local queue is never what is full.
    "queue.buffering.max.kbytes": 1_048_576,
    # The broker's own limit, so that a message of core.message.MAX_MESSAGE_BYTES has room for key
    # and headers.
    "message.max.bytes": 1_048_588,
    # Its own log repeats each failed attempt to connect; what matters of it is said below.
    "log_level": 2,
}


class ProducerError(Exception):
    """The producer can't go on; a new process can."""


class Pending:
    """A batch, of which so many messages are not confirmed yet."""

    def __init__(self, batch: Batch) -> None:
        self.end = batch.end
        self.received_at = batch.received_at
        self.messages = 0


class Producer:
    """Writes what one exchange sends. One thread produces and polls; any may publish.

    `stop` says when waiting for Kafka is over.
    """

    def __init__(
        self,
        exchange: str,
        bootstrap_servers: str,
        journal_id: str,
        stop: Stop,
        metrics: Metrics,
    ) -> None:
        self._exchange = exchange
        self._topic = TOPIC_OF_EXCHANGE[exchange]
        self._bootstrap_servers = bootstrap_servers
        self._journal_id = journal_id
        self._stop = stop
        self._metrics = metrics
        self._partitions = 0
        self._pending: deque[Pending] = deque()
        self._delivering = False
        self.delivered = 0
        """The journal's position up to which Kafka has everything."""
        self._kafka = confluent_kafka.Producer(
            {
                **CONFIGURATION,
                "bootstrap.servers": bootstrap_servers,
                "error_cb": self._on_error,
            }
        )

    def wait_for_topics(self) -> bool:
        """Asks Kafka until it has all that is written to. False where the stop came first."""
        while not self._stop.requested.is_set():
            problem = self._look_for_topics()
            if not problem:
                log.info("ready topic=%s partitions=%d", self._topic, self._partitions)
                return True
            log.warning("waiting kafka=%s reason=%r", self._bootstrap_servers, problem)
            self._stop.requested.wait(RETRY_INTERVAL)
        return False

    def _look_for_topics(self) -> str:
        """The reason why a topic can't be used yet, empty if all can."""
        try:
            # All topics: asked for one by name, a broker may create it, with its own defaults.
            topics = self._kafka.list_topics(timeout=RETRY_INTERVAL).topics
        except KafkaException as error:
            return str(error.args[0].str())
        for topic in (self._topic, INSTRUMENTS, FEED_EVENTS):
            if topic not in topics:
                return f"topic {topic} does not exist"
            if not topics[topic].partitions:
                return f"topic {topic}: {topics[topic].error}"
        self._partitions = len(topics[self._topic].partitions)
        return ""

    def produce(self, batch: Batch, taken: Mapping[int, int]) -> None:
        """Hands over one JSON array per partition.

        `taken` are the positions up to which a former process brought its partitions. Waits while
        much is pending. Raises ProducerError when the producer can't go on, as after the topic was
        deleted.
        """
        pending = Pending(batch)
        self._pending.append(pending)
        self._metrics.batches.inc()
        for partition, lines in batch.by_partition(self._partitions).items():
            first = taken.get(partition, 0)
            rest = [line for line in lines if line.position >= first]
            for texts in split_messages([line.text for line in rest]):
                part, rest = rest[: len(texts)], rest[len(texts) :]
                headers: Headers = [
                    (ENDPOINT_HEADER, batch.endpoint.encode()),
                    (JOURNAL_HEADER, self._journal_id.encode()),
                    (POSITION_HEADER, str(part[-1].position + 1).encode()),
                ]
                key = message_key(self._exchange, partition)
                on_delivery = partial(self._on_batch_delivery, pending)
                pending.messages += self._hand_over(
                    self._topic, key, encode_message(texts), on_delivery, partition, headers
                )
        self.poll()
        while len(self._kafka) > MOST_PENDING and self._stop.seconds_left():
            self.poll(ROOM_INTERVAL)

    def publish(self, topic: str, key: bytes, message: Item) -> None:
        """Hands over one JSON object; the key chooses the partition. Never waits."""
        self._hand_over(topic, key, encode_item(message), self._on_delivery)

    def _hand_over(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        on_delivery: OnDelivery,
        partition: int = PARTITION_BY_KEY,
        headers: Headers | None = None,
    ) -> bool:
        """False for a message that can't be sent, which is named."""
        try:
            self._kafka.produce(topic, value, key, partition, on_delivery, headers=headers)
        except BufferError as error:
            raise ProducerError(f"topic {topic}: {error}") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise ProducerError(f"topic {topic}: {error}") from error
            self._refused(error.args[0], topic, partition, key, len(value))
            return False
        return True

    def poll(self, timeout: float = 0.0) -> None:
        """Serves the delivery reports that have come, waiting up to `timeout` seconds for one."""
        self._kafka.poll(timeout)
        self._move_on()

    def flush(self) -> int:
        """Waits for what is pending while the stop allows. Returns how many messages still are."""
        pending = self._kafka.flush(self._stop.seconds_left())
        self._move_on()
        return pending

    @property
    def oldest_pending(self) -> int | None:
        """When the oldest item came that Kafka has not confirmed; microseconds since the epoch."""
        return self._pending[0].received_at if self._pending else None

    def _move_on(self) -> None:
        while self._pending and not self._pending[0].messages:
            self.delivered = self._pending.popleft().end

    def _on_error(self, error: KafkaError) -> None:
        away = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - public, underscore and all
        if self._delivering and error.code() == away:
            self._delivering = False
            log.warning("kafka away topic=%s pending=%d", self._topic, len(self._kafka))

    def _on_batch_delivery(
        self, pending: Pending, error: KafkaError | None, message: Message
    ) -> None:
        pending.messages -= 1
        self._on_delivery(error, message)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error:
            self._refused(error, message.topic(), message.partition(), message.key(), len(message))
            return
        self._metrics.messages.inc()
        self._metrics.delivery_delay.observe(message.latency() or 0.0)
        if not self._delivering:
            self._delivering = True
            log.info("delivering topic=%s", self._topic)

    def _refused(
        self,
        error: KafkaError,
        topic: str | None,
        partition: int | None,
        key: bytes | None,
        size: int,
    ) -> None:
        self._metrics.delivery_errors.inc()
        log.error(
            "delivery failed topic=%s partition=%s key=%r bytes=%d reason=%r",
            topic,
            partition,
            key,
            size,
            str(error),
        )
