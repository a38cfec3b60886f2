"""Check that brokers stamp raw topics: docs/decisions/003-raw-topics-are-stamped-by-the-broker.md."""

import logging
from collections.abc import Iterable

from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.admin import kafka_admin
from spark_jobs.kafka_source.topic_settings import MissingRightError, topic_settings

log = logging.getLogger(__name__)

SETTING, EXPECTED = "message.timestamp.type", "LogAppendTime"


class ClockError(JobError):
    """A topic carries its producers' timestamps. The message says how to change that."""


def require_broker_timestamps(settings: Settings, topics: Iterable[str]) -> None:
    """Raise ClockError if the messages of a topic carry their producers' timestamps.

    `raw/` and the audit rely on timestamps that grow with the offsets of a partition. Those of producers
    may not. Without the right to ask, only log the missing right.
    """
    admin = kafka_admin(settings)
    for topic in topics:
        try:
            found = topic_settings(admin, topic, settings)[SETTING]
        except MissingRightError as error:
            log.warning("unchecked setting=%s topic=%s reason=%r", SETTING, topic, str(error))
            continue
        if found != EXPECTED:
            raise ClockError(
                f"topic {topic} has {SETTING}={found}, but its messages must be stamped by the broker. Set "
                f"{SETTING}={EXPECTED} on the topic, and restart the job"
            )
