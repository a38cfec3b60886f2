"""Configure Kafka in KRaft mode, one process as broker and controller, and create the topics."""

import shlex
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from core.kafka_client import client_configuration, missing_right
from core.settings import Settings
from core.topics import (
    EXCHANGE_CANDLES,
    EXCHANGE_OF_TOPIC,
    FEED_EVENTS,
    INSTRUMENTS,
    RAW_TOPIC_DAYS,
)
from infra import paths
from infra.class_archives import kafka_options
from infra.ports import kafka_address
from infra.secured import logins
from infra.secured.kafka_users import MECHANISM, jaas_config, properties_text, trust
from infra.secured.logins import ADMINISTRATOR
from infra.secured.private_file import write_private
from infra.stack import Stack, StackError

CLASSPATH = str(paths.KAFKA_JARS / "*")
CLUSTER_ID = "cryptopricesrt-0000000"

ANSWER_SECONDS = 5
LEADERS_DEADLINE = 30.0

REFUSED = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001 - public, underscore and all
"""Errors of a wrong password or an untrusted certificate."""

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS

# The archive partitions by this timestamp, so it must not go backwards within a partition. And a wrong
# clock of a producer can't make a topic expire or refuse a message.
BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}

BROKERS_DEFAULT = -1
"""Replication factor of the broker: 1 locally, usually 3 in a managed Kafka."""

RAW_TOPIC_PARTITIONS = 4
RAW_TOPIC_CONFIG = BROKERS_CLOCK | {
    "retention.ms": str(RAW_TOPIC_DAYS * DAY_MS),
    # Per partition; 20 GB per topic.
    "retention.bytes": str(20 * 1024**3 // RAW_TOPIC_PARTITIONS),
}
INSTRUMENTS_CONFIG = BROKERS_CLOCK | {
    "cleanup.policy": "compact",
    # By default a segment is compacted once it is a week old or has 1 GB, and half of the log is new.
    # This closes a segment after an hour and compacts it however little that saves.
    "max.compaction.lag.ms": str(HOUR_MS),
}
# The key names the symbol and interval, so compaction would delete all spans but the last.
EXCHANGE_CANDLES_CONFIG = BROKERS_CLOCK | {"retention.ms": str(30 * DAY_MS)}
FEED_EVENTS_CONFIG = BROKERS_CLOCK | {"retention.ms": str(30 * DAY_MS)}

TOPICS = [
    *(
        NewTopic(topic, RAW_TOPIC_PARTITIONS, BROKERS_DEFAULT, config=RAW_TOPIC_CONFIG)
        for topic in EXCHANGE_OF_TOPIC
    ),
    NewTopic(INSTRUMENTS, 1, BROKERS_DEFAULT, config=INSTRUMENTS_CONFIG),
    NewTopic(EXCHANGE_CANDLES, 1, BROKERS_DEFAULT, config=EXCHANGE_CANDLES_CONFIG),
    NewTopic(FEED_EVENTS, 1, BROKERS_DEFAULT, config=FEED_EVENTS_CONFIG),
]


def server_properties(stack: Stack) -> str:
    """Return the broker's configuration: both listeners on loopback, one replica of everything."""
    host, port = kafka_address(stack.settings)
    controller = f"{host}:{stack.settings.kafka_controller_port}"
    protocol = "SASL_SSL" if stack.secured else "PLAINTEXT"
    protocols = f"{protocol}:{protocol},CONTROLLER:{'SSL' if stack.secured else 'PLAINTEXT'}"
    security = _security(stack) if stack.secured else ""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners={protocol}://{host}:{port},CONTROLLER://{controller}
advertised.listeners={protocol}://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map={protocols}
{security}log.dirs={stack.folder}/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def _security(stack: Stack) -> str:
    """Return the lines for TLS, logins and rights. The controller accepts only the broker's certificate."""
    user, password = ADMINISTRATOR, logins.password(stack.folder, f"kafka-{ADMINISTRATOR}")
    login = f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config"
    return properties_text(
        {
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            login: jaas_config(MECHANISM, user, password),
            "listener.name.controller.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(stack.folder / "certificates" / "kafka.pem"),
            **trust(logins.authority(stack.folder)),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{user};User:CN=kafka",
        }
    )


def prepare(stack: Stack) -> None:
    """Write the configuration, as ports may have changed, and format the data folder if it is new."""
    folder = stack.folder / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    write_private(properties, server_properties(stack))
    if not (folder / "data" / "meta.properties").exists():
        if stack.secured:
            with _administrators_login(stack) as option:
                _format(properties, option)
        else:
            _format(properties)


@contextmanager
def _administrators_login(stack: Stack) -> Iterator[str]:
    """Yield an argument of StorageTool for the first user. It is in a file: others can see a command line."""
    password = logins.password(stack.folder, f"kafka-{ADMINISTRATOR}")
    arguments = stack.folder / "kafka" / "first-user"
    write_private(
        arguments, f"--add-scram\n{MECHANISM}=[name={ADMINISTRATOR},password={password}]\n"
    )
    try:
        yield f"@{arguments}"
    finally:
        arguments.unlink()


def _format(properties: Path, *options: str) -> None:
    command = [paths.java(), "-XX:TieredStopAtLevel=1", *shlex.split(kafka_options("read"))]
    command += ["-cp", CLASSPATH, "kafka.tools.StorageTool"]
    command += ["format", "--cluster-id", CLUSTER_ID, "--config", str(properties), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            f"Kafka's data folder could not be formatted: {done.stderr or done.stdout}"
        )


def is_ready(settings: Settings) -> bool:
    """Return whether a broker answers within ANSWER_SECONDS.

    Raise StackError if it refuses the connection: waiting can't help.
    """
    problems: list[KafkaError] = []
    # One client for all attempts: TCP, TLS and login of a distant broker can take more than a second.
    admin = admin_client(settings, problems.append)
    for _ in range(ANSWER_SECONDS):
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            # poll() runs the error callback.
            admin.poll(0)
            for problem in problems:
                if problem.code() in REFUSED:
                    raise StackError(f"Kafka refuses the connection: {problem.str()}") from None
    return False


def initialise(settings: Settings) -> None:
    """Create the topics that do not exist yet. Return when every partition has a leader.

    If all topics exist, no right to create topics is needed.
    """
    admin = admin_client(settings)
    present = admin.list_topics(timeout=30).topics
    if missing := [each for each in TOPICS if each.topic not in present]:
        _create(settings, admin, missing)
    _wait_for_leaders(admin)


def _create(settings: Settings, admin: AdminClient, topics: list[NewTopic]) -> None:
    for topic, created in admin.create_topics(topics).items():
        try:
            created.result(timeout=30)
        except KafkaException as error:
            match error.args[0].code():
                case KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                case KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    reason = missing_right(settings, "Create", f"topic {topic}")
                case _:
                    reason = str(error)
            raise StackError(f"topic {topic} could not be created: {reason}") from error


def _wait_for_leaders(admin: AdminClient) -> None:
    deadline = time.monotonic() + LEADERS_DEADLINE
    while missing := leaderless(admin):
        if time.monotonic() > deadline:
            raise StackError(f"no leader after {LEADERS_DEADLINE:.0f} s: {', '.join(missing)}")
        time.sleep(0.05)


def leaderless(admin: AdminClient, expected: Iterable[NewTopic] = TOPICS) -> list[str]:
    """Return the partitions without a leader, and all those of topics that are not listed yet.

    A topic may have more or fewer partitions than `expected`: only the present ones are checked.
    """
    topics = admin.list_topics(timeout=30).topics
    missing = []
    for each in expected:
        present = topics[each.topic].partitions if each.topic in topics else {}
        if not present:
            missing += [f"{each.topic}/{number}" for number in range(each.num_partitions)]
        missing += [f"{each.topic}/{n}" for n, partition in present.items() if partition.leader < 0]
    return missing


def admin_client(
    settings: Settings, on_error: Callable[[KafkaError], object] = lambda _error: None
) -> AdminClient:
    # While the broker starts, the client would log every refused connection.
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": on_error}
    return AdminClient(client_configuration(settings) | quiet)
