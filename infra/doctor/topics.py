"""Check Kafka: the connection, the topics that `make initialise` creates, their settings, and rights."""

import shlex
from collections.abc import Iterator

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from core.kafka_client import missing_right
from core.settings import Settings
from infra import paths
from infra.doctor.finding import Finding
from infra.doctor.target import Target
from infra.services import kafka
from infra.stack import StackError
from spark_jobs.kafka_source.topic_settings import MissingRightError, topic_settings

TIMEOUT = 30.0
RIGHTS = {AclOperation.READ: "Read", AclOperation.WRITE: "Write"}


def connection(target: Target) -> Iterator[Finding]:
    servers = target.settings.kafka_bootstrap_servers
    try:
        if not kafka.is_ready(target.settings):
            yield Finding(
                f"Kafka at {servers} is unavailable",
                target.remedy("kafka", "KAFKA_BOOTSTRAP_SERVERS"),
            )
    except StackError as error:
        yield Finding(str(error), "correct the file that KAFKA_CLIENT_PROPERTIES names")


def topics(settings: Settings) -> Iterator[Finding]:
    """Compare the topics with infra.services.kafka.TOPICS."""
    admin = kafka.admin_client(settings)
    present = admin.list_topics(timeout=TIMEOUT).topics
    found = []
    for topic in kafka.TOPICS:
        if topic.topic not in present:
            yield Finding(
                f"topic {topic.topic} does not exist, or may not be described",
                "make initialise creates it",
            )
            continue
        found.append(topic)
        partitions = len(present[topic.topic].partitions)
        # More are allowed: extractors and jobs find them.
        if partitions < topic.num_partitions:
            yield Finding(
                f"topic {topic.topic} has {partitions} partitions, fewer than {topic.num_partitions}",
                kafka_command(
                    settings,
                    "org.apache.kafka.tools.TopicCommand",
                    f"--alter --topic {topic.topic} --partitions {topic.num_partitions}",
                ),
            )
    if found and (without := kafka.leaderless(admin, found)):
        yield Finding(f"no leader: {', '.join(without)}", "start the brokers that hold them")
    for topic in found:
        try:
            config = topic_settings(admin, topic.topic, settings)
        except MissingRightError as error:
            yield Finding(f"settings of topic {topic.topic} were not checked: {error}", "grant it")
            continue
        for name, expected in (topic.config or {}).items():
            if (actual := config.get(name)) != expected:
                yield Finding(
                    f"topic {topic.topic} has {name}={actual}, expected {expected}",
                    kafka_command(
                        settings,
                        "kafka.admin.ConfigCommand",
                        f"--alter --topic {topic.topic} --add-config {name}={expected}",
                    ),
                )


def kafka_command(settings: Settings, program: str, options: str) -> str:
    """Return the shell command that runs a tool of Kafka, from the jars that make setup installs."""
    jars = shlex.quote(f"{paths.KAFKA_JARS.relative_to(paths.PROJECT)}/*")
    login = settings.kafka_client_properties
    connection = f"--bootstrap-server {settings.kafka_bootstrap_servers}"
    if login:
        connection += f" --command-config {shlex.quote(login)}"
    return f"{shlex.quote(paths.java())} -cp {jars} {program} {connection} {options}"


def rights(settings: Settings) -> Iterator[Finding]:
    """Ask the brokers what this user may do. Nothing is written."""
    admin = kafka.admin_client(settings)
    names = TopicCollection([topic.topic for topic in kafka.TOPICS])
    answers = admin.describe_topics(
        names, include_authorized_operations=True, request_timeout=TIMEOUT
    )
    for topic, answer in answers.items():
        try:
            allowed = answer.result().authorized_operations
        except KafkaException:
            continue  # `topics` reports it.
        # A Kafka without access rights reports all; one before 2.3 reports none.
        for operation, name in RIGHTS.items():
            if allowed and operation not in allowed:
                users = "jobs" if name == "Read" else "extractors"
                yield Finding(
                    missing_right(settings, name, f"topic {topic}"),
                    f"grant it if the {users} log in as this user: docs/managed-kafka.md",
                )
