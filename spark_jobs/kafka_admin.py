"""The client that asks the brokers about topics."""

from confluent_kafka.admin import AdminClient

from core.kafka_client import client_configuration
from core.settings import Settings

WARNING = 4


def kafka_admin(settings: Settings) -> AdminClient:
    """Only to ask. Keep it in a name until the answers are there: they fail without it.

    librdkafka logs at its end that answers were left over, between the lines that a command prints.
    """
    return AdminClient({**client_configuration(settings), "log_level": WARNING})
