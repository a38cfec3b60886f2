"""Publish the progress of each query as the offsets of a consumer group, for tools that show Kafka's lag.

Spark commits no offsets to Kafka. The group has the name of the query, no member, and the offsets that its
sink has committed. Nothing reads them back. A separate thread publishes them, so neither an unavailable
Kafka nor a missing right delays or fails a batch. The offsets may be up to a second old.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from core.kafka_client import client_configuration, missing_right
from core.settings import Settings
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.run.sink import Sink

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks at the sinks."""

RENEWAL = 3600.0
"""Seconds after which unchanged offsets are published again: Kafka deletes them after a week by default."""

PAUSE = 60.0
"""Seconds without an attempt after a failure."""

TIMEOUT = 10.0
"""Maximum wait for a group's coordinator, and of `close` for the last commits, in seconds."""

STARTING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
"""Errors of a broker that has just started, or has become the group's coordinator."""

NO_RIGHT = {
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group {group}",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topics of group {group}",
}
"""Mapping from an error to the resource on which Read is missing."""


class ConsumerGroups:
    """Thread that publishes the progress of sinks until `close`."""

    def __init__(self, settings: Settings, sinks: Sequence[Sink]) -> None:
        self._groups = [ConsumerGroup(settings, sink) for sink in sinks]
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumer-groups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Publish the last progress. Do not wait for Kafka for longer than TIMEOUT."""
        self._closing.set()
        self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while not self._closing.wait(PERIOD):
            for group in self._groups:
                group.publish(time.monotonic())
        # An infinite time is after every pause, so the last progress is always published.
        for group in self._groups:
            group.publish(math.inf)


class ConsumerGroup:
    """Consumer group with the name of a sink's query."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self._settings = settings
        self._consumer = member_of_no_group(settings, sink.query)
        self._sink = sink
        self._published: Offsets = {}
        self._renew_at = 0.0
        self._failed_at: float | None = None

    def publish(self, now: float) -> None:
        """Publish the sink's progress if it is due. `now` is a monotonic clock in seconds.

        The first of consecutive failures is logged, unless the broker is still starting.
        """
        progress = self._sink.progress()
        is_known = progress == self._published and now < self._renew_at
        is_paused = self._failed_at is not None and now < self._failed_at + PAUSE
        if not progress or is_known or is_paused:
            return
        group = self._sink.query
        try:
            commit(self._consumer, progress)
        except KafkaException as error:
            if error.args[0].code() in STARTING:
                return
            if self._failed_at is None:
                log.warning(
                    "offsets not published group=%s reason=%r", group, self._reason(error.args[0])
                )
            self._failed_at = now
            return
        if self._failed_at is not None:
            log.info("offsets published group=%s", group)
        self._published, self._renew_at, self._failed_at = progress, now + RENEWAL, None

    def _reason(self, error: KafkaError) -> str:
        if resource := NO_RIGHT.get(error.code()):
            return missing_right(self._settings, "Read", resource.format(group=self._sink.query))
        return error.str()


def member_of_no_group(settings: Settings, group: str) -> Consumer:
    """Return a consumer that commits offsets of a group and never joins it."""
    return Consumer(
        {
            **client_configuration(settings),
            "group.id": group,
            "enable.auto.commit": False,
            # A commit waits for the group's coordinator for this time.
            "session.timeout.ms": round(1000 * TIMEOUT),
            # The client would log each refused connection; failures are logged here.
            "log_level": 0,
        }
    )


def commit(consumer: Consumer, offsets: Offsets) -> None:
    """Set the offsets of the consumer's group. Raise KafkaException on failure."""
    partitions = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
    try:
        committed = consumer.commit(offsets=partitions, asynchronous=False)
    except KafkaException:
        # The cause, such as a missing right, may be in an event of the consumer instead of this error.
        event = consumer.poll(0)
        if event is not None and (error := event.error()) is not None:
            raise KafkaException(error) from None
        raise
    for each in committed:
        if each.error is not None:
            raise KafkaException(each.error)
