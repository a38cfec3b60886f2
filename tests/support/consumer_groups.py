"""Read consumer groups as Kafka's own tool shows them."""

from core.settings import Settings
from infra.services.kafka import CLASSPATH
from tests.support.process import run
from tests.support.stacks import QUICK_JAVA

TOOL = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"

Lag = dict[tuple[str, int], tuple[int, int]]
"""Committed offset and lag, by topic and partition."""


def described(settings: Settings, group: str) -> Lag:
    """Return what kafka-consumer-groups --describe prints."""
    command = ["java", "-cp", CLASSPATH, TOOL, "--describe", "--group", group]
    command += ["--bootstrap-server", settings.kafka_bootstrap_servers]
    found: Lag = {}
    for line in run(command, QUICK_JAVA).stdout.splitlines():
        match line.split():
            case [name, topic, partition, offset, _end, lag, *_] if name == group:
                found[topic, int(partition)] = int(offset), int(lag)
    return found
