"""To Kafka: batches to the exchange's raw topic, single messages to the small topics.

What it promises: what produce() or publish() has taken is written once and in order per partition,
however long Kafka is away (idempotence, acks=all, no time limit), as long as this process lives.
What Kafka refuses for good is logged by name and counted.
"""

import logging

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.message import ENDPOINT_HEADER, Item, encode_item, encode_messages, message_key
from core.topics import FEED_EVENTS, INSTRUMENTS, TOPIC_OF_EXCHANGE
from extractors.batcher import Batch
from extractors.metrics import Metrics
from extractors.stop import Stop

log = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]

PARTITION_BY_KEY = -1

RETRY_INTERVAL = 2.0
"""Seconds between two looks for the topic."""

ROOM_INTERVAL = 0.5
"""Seconds between two attempts to hand a message to a full local queue."""

CONFIGURATION = {
    "enable.idempotence": True,
    "acks": "all",
    # 5.2 : 1 on these messages at 3.3 ms of CPU per MB (lz4 2.9 : 1 at 2.0, gzip 5.2 : 1 at 40).
    "compression.type": "zstd",
    "linger.ms": 5,
    # A message waits for Kafka as long as it takes.
    "message.timeout.ms": 0,
    "reconnect.backoff.max.ms": 1000,
    # About eight minutes of KuCoin's feed while Kafka is away; then the frames' queue fills.
    "queue.buffering.max.kbytes": 262_144,
    # The broker's own limit, so that a message of core.message.MAX_MESSAGE_BYTES has room for key
    # and headers.
    "message.max.bytes": 1_048_588,
    # Its own log repeats each failed attempt to connect; what matters of it is said below.
    "log_level": 2,
}


class ProducerError(Exception):
    """The producer can't go on; a new process can."""


class Producer:
    """Writes what one exchange sends. For one thread. `stop` says when waiting for Kafka is over."""

    def __init__(self, exchange: str, bootstrap_servers: str, stop: Stop, metrics: Metrics) -> None:
        self._exchange = exchange
        self._topic = TOPIC_OF_EXCHANGE[exchange]
        self._bootstrap_servers = bootstrap_servers
        self._stop = stop
        self._metrics = metrics
        self._partitions = 0
        self._given_up = 0
        self._delivering = False
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
            self.poll(RETRY_INTERVAL)
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

    def produce(self, batch: Batch) -> None:
        """Hands over one JSON array per partition. Waits while the local queue is full.

        Raises ProducerError when the producer can't go on, as after the topic was deleted.
        """
        self._metrics.batches.inc()
        headers: Headers = [(ENDPOINT_HEADER, batch.endpoint.encode())]
        for partition, items in batch.by_partition(self._partitions).items():
            key = message_key(self._exchange, partition)
            for value in encode_messages(items):
                self._hand_over(self._topic, key, value, partition, headers)

    def publish(self, topic: str, key: bytes, message: Item) -> None:
        """Hands over one JSON object; the key chooses the partition. Waits and raises as produce()."""
        self._hand_over(topic, key, encode_item(message))

    def _hand_over(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        partition: int = PARTITION_BY_KEY,
        headers: Headers | None = None,
    ) -> None:
        while True:
            try:
                self._kafka.produce(
                    topic, value, key, partition, self._on_delivery, headers=headers
                )
                return
            except BufferError:
                if not self._stop.seconds_left():
                    self._given_up += 1
                    return
                self.poll(ROOM_INTERVAL)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise ProducerError(f"topic {topic}: {error}") from error
                self._refused(error.args[0], topic, partition, key, len(value))
                return

    def poll(self, timeout: float = 0.0) -> None:
        """Serves the delivery reports that have come, waiting up to `timeout` seconds for one."""
        self._kafka.poll(timeout)

    def close(self) -> int:
        """Waits for what is under way while the stop allows. Returns how many messages are lost."""
        return self._given_up + self._kafka.flush(self._stop.seconds_left())

    def _on_error(self, error: KafkaError) -> None:
        away = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - public, underscore and all
        if self._delivering and error.code() == away:
            self._delivering = False
            log.warning("kafka away topic=%s waiting=%d", self._topic, len(self._kafka))

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
