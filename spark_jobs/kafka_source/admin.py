"""Create the client that asks the brokers about topics."""

from confluent_kafka.admin import AdminClient

from core.kafka_client import client_configuration
from core.settings import Settings

WARNING = 4


def kafka_admin(settings: Settings) -> AdminClient:
    """Return a client for read-only requests.

    Keep a reference to it until all answers have arrived: without the client they fail. Log warnings
    only: on closing, librdkafka would log unread answers between the lines that a command prints.
    """
    return AdminClient({**client_configuration(settings), "log_level": WARNING})
