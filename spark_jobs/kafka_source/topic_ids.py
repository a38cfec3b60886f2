"""Kafka's identity of a topic: one that was deleted and created again has another.

Its offsets begin again at 0, so those of the former topic say nothing about it, however far it has grown.
Kafka has such ids since version 2.8; of an older one nothing is known, and nothing is refused.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.admin import kafka_admin
from spark_jobs.kafka_source.partitions import rights_explained

# By topic, as Kafka's own tools show it: 22 characters of A-Z a-z 0-9 - _.
TopicIds = Mapping[str, str]

TIMEOUT = 30.0
UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"


class TopicError(JobError):
    """A topic is not the one that was read until now. The message says how to go on."""


def topic_ids(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """Return the id of each topic that exists and has one.

    Raise RightError for a topic that this user may not describe, KafkaException without Kafka.
    """
    client = kafka_admin(settings)
    asked = client.describe_topics(TopicCollection([*topics]), request_timeout=TIMEOUT)
    found: dict[str, str] = {}
    for topic, answer in asked.items():
        with rights_explained(settings, topic):
            try:
                found[topic] = as_kafka_writes(str(answer.result().topic_id))
            except KafkaException as error:
                # sources.starting_offsets names a missing topic.
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
    return {topic: found[topic] for topic in found if found[topic] != UNKNOWN}


def as_kafka_writes(topic_id: str) -> str:
    """Convert a topic id from librdkafka's plain Base64 to that for URLs, which Kafka's own tools show.

    Objects are named after the id, so it must not contain a slash.
    """
    return topic_id.translate(str.maketrans("+/", "-_"))


def refuse_another(read: TopicIds, current: TopicIds, where: str) -> None:
    """Raise TopicError for a topic whose id is not the one that was read until now.

    `read` lacks a topic of which nothing was read, or whose id was not known then. `where` names what was
    written: kafka_progress, or a prefix of the bucket.
    """
    for topic, known in sorted(read.items()):
        if current.get(topic, known) != known:
            raise TopicError(
                f"topic {topic} was created again: {where} holds what was read of the topic with the "
                f"id {known}, and Kafka's now has {current[topic]}. Nothing was written. To keep that, "
                f"and to read the new topic from its oldest record: make accept-topics"
            )
