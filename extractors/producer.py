"""Batches to Kafka. The only file that knows confluent_kafka.

What it promises: a batch that produce() has taken is written once and in order per partition,
however long Kafka is away (idempotence, acks=all, no time limit), as long as this process lives.
What Kafka refuses for good is logged by name and counted.
"""

import logging
from collections import Counter

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message

from core.message import ENDPOINT_HEADER, encode_messages, message_key
from core.topics import TOPIC_OF_EXCHANGE
from extractors.batcher import Batch
from extractors.stop import Stop

log = logging.getLogger(__name__)

Headers = list[tuple[str, str | bytes | None]]

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
    """Writes one exchange's batches to its topic. For one thread.

    `stop` says when waiting for Kafka is over. Adds to `counts`: messages, delivery_errors.
    """

    def __init__(
        self, exchange: str, bootstrap_servers: str, stop: Stop, counts: Counter[str]
    ) -> None:
        self._exchange = exchange
        self._topic = TOPIC_OF_EXCHANGE[exchange]
        self._bootstrap_servers = bootstrap_servers
        self._stop = stop
        self._counts = counts
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

    def wait_for_topic(self) -> bool:
        """Asks Kafka until it has the topic's partitions. False where the stop came first."""
        while not self._stop.requested.is_set():
            problem = self._look_for_topic()
            if not problem:
                log.info("ready topic=%s partitions=%d", self._topic, self._partitions)
                return True
            log.warning("waiting kafka=%s reason=%r", self._bootstrap_servers, problem)
            self.poll(RETRY_INTERVAL)
        return False

    def _look_for_topic(self) -> str:
        """The reason why the topic can't be used yet, empty if it can."""
        try:
            # All topics: asked for one by name, a broker may create it, with its own defaults.
            topics = self._kafka.list_topics(timeout=RETRY_INTERVAL).topics
        except KafkaException as error:
            return str(error.args[0].str())
        if self._topic not in topics:
            return f"topic {self._topic} does not exist"
        self._partitions = len(topics[self._topic].partitions)
        return "" if self._partitions else f"topic {self._topic}: {topics[self._topic].error}"

    def produce(self, batch: Batch) -> None:
        """Hands over one JSON array per partition. Waits while the local queue is full.

        Raises ProducerError when the producer can't go on, as after the topic was deleted.
        """
        headers: Headers = [(ENDPOINT_HEADER, batch.endpoint.encode())]
        for partition, items in batch.by_partition(self._partitions).items():
            for value in encode_messages(items):
                self._hand_over(value, partition, headers)

    def _hand_over(self, value: bytes, partition: int, headers: Headers) -> None:
        key = message_key(self._exchange, partition)
        while True:
            try:
                self._kafka.produce(
                    self._topic, value, key, partition, self._on_delivery, headers=headers
                )
                return
            except BufferError:
                if not self._stop.seconds_left():
                    self._given_up += 1
                    return
                self.poll(ROOM_INTERVAL)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise ProducerError(f"topic {self._topic}: {error}") from error
                self._refused(error.args[0], partition, key, len(value))
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
            self._refused(error, message.partition(), message.key(), len(message))
            return
        self._counts["messages"] += 1
        if not self._delivering:
            self._delivering = True
            log.info("delivering topic=%s", self._topic)

    def _refused(
        self, error: KafkaError, partition: int | None, key: bytes | None, size: int
    ) -> None:
        self._counts["delivery_errors"] += 1
        log.error(
            "delivery failed topic=%s partition=%s key=%r bytes=%d reason=%r",
            self._topic,
            partition,
            key,
            size,
            str(error),
        )
