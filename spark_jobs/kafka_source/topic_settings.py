"""Ask the brokers for the settings of a topic."""

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
)

from core.kafka_client import missing_right
from core.settings import Settings

TIMEOUT = 30.0


class MissingRightError(Exception):
    """The user may not ask. The message names the user and the right."""


def topic_settings(admin: AdminClient, topic: str, settings: Settings) -> dict[str, str]:
    """Return the values of a topic's settings by name, defaults included.

    Raise MissingRightError without the right to ask, or the client's KafkaException.
    """
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    [answer] = admin.describe_configs([resource], request_timeout=TIMEOUT).values()
    try:
        return {name: entry.value for name, entry in answer.result().items()}
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise
        right = missing_right(settings, "DescribeConfigs", f"topic {topic}")
        raise MissingRightError(right) from error
