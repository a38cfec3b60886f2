"""The client that asks the brokers about topics."""

from confluent_kafka.admin import AdminClient

from core.kafka_client import client_configuration
from core.settings import Settings

WARNING = 4


def kafka_admin(settings: Settings) -> AdminClient:
    """Return a client for requests that change nothing.

    Keep a reference to it until all answers are there: without the client they fail. At its end librdkafka
    would log unread answers, between the lines that a command prints.
    """
    return AdminClient({**client_configuration(settings), "log_level": WARNING})
