"""Check that brokers stamp raw topics: docs/decisions/003-raw-topics-are-stamped-by-the-broker.md."""

import logging
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

from core.kafka_client import missing_right
from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.admin import kafka_admin

log = logging.getLogger(__name__)

SETTING, EXPECTED = "message.timestamp.type", "LogAppendTime"
TIMEOUT = 30.0


class ClockError(JobError):
    """A topic carries its producers' timestamps. The message says how to change that."""


def require_broker_timestamps(settings: Settings, topics: Iterable[str]) -> None:
    """Raise ClockError if the messages of a topic carry their producers' timestamps.

    `raw/` and the audit rely on timestamps that grow with the offsets of a partition. Those of producers may
    not.
    Without the right to ask, only log the missing right.
    """
    resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
    if not resources:
        return
    admin = kafka_admin(settings)
    for resource, answer in admin.describe_configs(resources, request_timeout=TIMEOUT).items():
        topic = f"topic {resource.name}"
        try:
            found = answer.result()[SETTING].value
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            right = missing_right(settings, "DescribeConfigs", topic)
            log.warning("unchecked setting=%s topic=%s reason=%r", SETTING, resource.name, right)
            continue
        if found != EXPECTED:
            raise ClockError(
                f"{topic} has {SETTING}={found}, but its messages must be stamped by the broker. Set "
                f"{SETTING}={EXPECTED} on the topic, and restart the job"
            )
