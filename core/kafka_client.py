"""Configure every Kafka client of the project: the brokers, and KAFKA_CLIENT_PROPERTIES."""

from pathlib import Path

from core.kafka_properties import librdkafka, user_of
from core.kafka_properties_file import read_properties
from core.settings import SettingError, Settings


def client_configuration(settings: Settings) -> dict[str, str]:
    """Return librdkafka's configuration: bootstrap.servers and the translated properties.

    It may contain secrets, so it must not be logged. Raise SettingError if the file has become
    unreadable since the settings were checked.
    """
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        **librdkafka(_properties(settings)),
    }


def spark_options(settings: Settings) -> dict[str, str]:
    """Return the same configuration as options of Spark's Kafka source: Java's names with a prefix."""
    properties = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        **_properties(settings),
    }
    return {f"kafka.{name}": value for name, value in properties.items()}


def missing_right(settings: Settings, operation: str, resource: str) -> str:
    """Return the text for an authorisation error, such as "user me needs Write on topic prices"."""
    return f"{user_of(_properties(settings))} needs {operation} on {resource}"


def _properties(settings: Settings) -> dict[str, str]:
    path = settings.kafka_client_properties
    if not path:
        return {}
    try:
        return read_properties(Path(path))
    except ValueError as error:
        raise SettingError(f"KAFKA_CLIENT_PROPERTIES={path!r}: {error}") from error
