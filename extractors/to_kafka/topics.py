"""Find the topics that an extractor writes to, and wait until they exist."""

import logging
from collections.abc import Sequence

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from core.kafka_client import missing_right
from core.kafka_properties import LONGEST_RECONNECT_PAUSE, LONGEST_RECONNECT_PAUSE_MS
from core.settings import Settings
from extractors.shutdown import Shutdown

log = logging.getLogger(__name__)

RETRY_INTERVAL = 2.0
"""Seconds between two requests, and the timeout of each."""

DEFAULTS = {LONGEST_RECONNECT_PAUSE: LONGEST_RECONNECT_PAUSE_MS}
"""Properties of a client that KAFKA_CLIENT_PROPERTIES may change."""


class ConnectionProblem:
    """The last reason why a client could not connect. `note` is the client's error callback."""

    def __init__(self) -> None:
        self.reason = ""

    def note(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - public despite its underscore
            self.reason = error.str()


def find_topics(
    kafka: confluent_kafka.Producer,
    topics: Sequence[str],
    settings: Settings,
    timeout: float,
    connection_problem: ConnectionProblem,
) -> tuple[dict[str, int], str]:
    """Return the numbers of partitions, or the reason why a topic can't be used yet.

    Raise KafkaException if the client can't be used again.
    """
    try:
        # List all topics: a broker asked for one by name may create it, with default settings.
        found, problem = kafka.list_topics(timeout=timeout).topics, ""
    except KafkaException as error:
        found, problem = {}, str(error.args[0].str())
    # Run the error callbacks: one is queued for each failed attempt to connect. Only they have the
    # reason of a failed login or handshake.
    kafka.poll(0)
    if problem:
        return {}, connection_problem.reason or problem
    connection_problem.reason = ""
    for topic in topics:
        if topic not in found:
            return {}, f"topic {topic} does not exist, or may not be described"
        if problem := found[topic].error:
            return {}, f"topic {topic}: {explain(problem, topic, settings)}"
    return {topic: len(found[topic].partitions) for topic in topics}, ""


def wait_for_topics(
    kafka: confluent_kafka.Producer,
    topics: Sequence[str],
    settings: Settings,
    stop: Shutdown,
    connection_problem: ConnectionProblem,
) -> dict[str, int] | None:
    """Return the number of partitions of each topic once all exist; None after the deadline.

    Raise KafkaException if the client can't be used again.
    """
    # After a stop is requested, too: items that were received meanwhile must still be sent.
    while stop.seconds_left():
        timeout = min(RETRY_INTERVAL, max(0.1, stop.seconds_left()))
        partitions, problem = find_topics(kafka, topics, settings, timeout, connection_problem)
        if not problem:
            log.info("ready topics=%s", partitions)
            return partitions
        log.warning("waiting kafka=%s reason=%r", settings.kafka_bootstrap_servers, problem)
        stop.pause(RETRY_INTERVAL)
    return None


def explain(error: KafkaError, topic: str, settings: Settings) -> str:
    """Return the error's text; for an authorisation error, also the missing right."""
    match error.code():
        case KafkaError.TOPIC_AUTHORIZATION_FAILED:
            right = missing_right(settings, "Write and Describe", f"topic {topic}")
        case KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            right = missing_right(settings, "IdempotentWrite", "the cluster")
        case _:
            return str(error)
    return f"{error}: {right}"
