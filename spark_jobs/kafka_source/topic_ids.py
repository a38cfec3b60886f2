"""Compare topics by their ids: a topic that was deleted and created again has a new id.

The offsets of the new topic begin at 0 again. So offsets of the old topic are not valid in the new one,
even if it has as many records. Kafka has topic ids from version 2.8 on; with an older version no topic
is refused.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from core.settings import Settings
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.admin import kafka_admin
from spark_jobs.kafka_source.partitions import rights_explained

TopicIds = Mapping[str, str]
"""Ids by topic, in the form of Kafka's command-line tools: 22 characters of A-Z a-z 0-9 - _."""

TIMEOUT = 30.0
UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"
"""Id that means none: 16 zero bytes."""


class TopicError(JobError):
    """A topic is not the one that was read before. The message says how to continue."""


def topic_ids(settings: Settings, topics: Iterable[str]) -> dict[str, str]:
    """Return the id of each topic that exists and has one.

    Raise RightError if this user may not describe a topic, KafkaException if Kafka is unavailable.
    """
    client = kafka_admin(settings)
    asked = client.describe_topics(TopicCollection([*topics]), request_timeout=TIMEOUT)
    found: dict[str, str] = {}
    for topic, answer in asked.items():
        with rights_explained(settings, topic):
            try:
                found[topic] = url_safe_id(str(answer.result().topic_id))
            except KafkaException as error:
                # partitions.starting_offsets reports a missing topic.
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
    return {topic: found[topic] for topic in found if found[topic] != UNKNOWN}


def url_safe_id(topic_id: str) -> str:
    """Convert a topic id from librdkafka's Base64 to the URL-safe Base64 of Kafka's command-line tools.

    Objects are named after the id, so it must not contain a slash.
    """
    return topic_id.translate(str.maketrans("+/", "-_"))


def refuse_recreated_topics(read: TopicIds, current: TopicIds, where: str) -> None:
    """Raise TopicError if a topic's current id is not that of the topic that was read before.

    `read` lacks topics that were not read yet, and topics whose id was unknown when they were read.
    `where` names the store of the data that was read: kafka_progress, or a prefix of the bucket.
    """
    for topic in recreated_topics(read, current):
        raise TopicError(
            f"topic {topic} was created again: {where} holds data of the topic with the id "
            f"{read[topic]}, but its id in Kafka is now {current[topic]}. Nothing was written. To keep "
            "that data, and to read the new topic from its oldest record: make accept-topics"
        )


def recreated_topics(read: TopicIds, current: TopicIds) -> list[str]:
    """Return the topics whose current id is known and not the one that was read before, sorted."""
    return [topic for topic, known in sorted(read.items()) if current.get(topic, known) != known]
