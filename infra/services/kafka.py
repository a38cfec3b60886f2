"""Kafka in KRaft mode: one process that is broker and controller, run from its jars."""

import subprocess
import time
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS, RAW_TOPIC_DAYS
from infra import places
from infra.ports import kafka_address
from infra.stack import Stack, StackError

CLASSPATH = str(places.KAFKA_JARS / "*")
CLUSTER_ID = "cryptopricesrt-0000000"

LEADERS_DEADLINE = 30.0

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS

# The archive cuts hours by this time, so a partition's may not go back. And no topic loses or refuses
# a message because a producer's clock is wrong.
BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}

RAW_TOPIC_PARTITIONS = 4
RAW_TOPIC_CONFIG = BROKERS_CLOCK | {
    "retention.ms": str(RAW_TOPIC_DAYS * DAY_MS),
    # Of each partition: 20 GB a topic.
    "retention.bytes": str(20 * 1024**3 // RAW_TOPIC_PARTITIONS),
}
INSTRUMENTS_CONFIG = BROKERS_CLOCK | {
    "cleanup.policy": "compact",
    # By default a segment is compacted when it is a week or 1 GB old, and half of the topic is new.
    # This ends the segment after an hour, and makes it due however little there is to gain.
    "max.compaction.lag.ms": str(HOUR_MS),
}
FEED_EVENTS_CONFIG = BROKERS_CLOCK | {"retention.ms": str(30 * DAY_MS)}

TOPICS = [
    *(
        NewTopic(topic, RAW_TOPIC_PARTITIONS, replication_factor=1, config=RAW_TOPIC_CONFIG)
        for topic in EXCHANGE_OF_TOPIC
    ),
    NewTopic(INSTRUMENTS, 1, replication_factor=1, config=INSTRUMENTS_CONFIG),
    NewTopic(FEED_EVENTS, 1, replication_factor=1, config=FEED_EVENTS_CONFIG),
]


def server_properties(stack: Stack) -> str:
    """The broker's configuration: both listeners on loopback, one replica of everything."""
    host, port = kafka_address(stack.settings)
    controller = f"{host}:{stack.settings.kafka_controller_port}"
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={stack.folder}/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def prepare(stack: Stack) -> None:
    """Writes the configuration, for the ports may have changed, and formats the data folder once."""
    folder = stack.folder / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(server_properties(stack))
    if not (folder / "data" / "meta.properties").exists():
        _format(properties)


def _format(properties: Path) -> None:
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", CLASSPATH, "kafka.tools.StorageTool"]
    command += ["format", "--cluster-id", CLUSTER_ID, "--config", str(properties)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(
            f"Kafka's data folder could not be formatted: {done.stderr or done.stdout}"
        )


def is_ready(settings: Settings) -> bool:
    admin = _admin(settings)
    try:
        return bool(admin.list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def initialise(settings: Settings) -> None:
    """Creates the topics that are not there yet; returns when every partition has a leader."""
    admin = _admin(settings)
    for topic, created in admin.create_topics(TOPICS).items():
        try:
            created.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise StackError(f"topic {topic} could not be created: {error}") from error
    _wait_for_leaders(admin)


def _wait_for_leaders(admin: AdminClient) -> None:
    deadline = time.monotonic() + LEADERS_DEADLINE
    while leaderless := _leaderless(admin):
        if time.monotonic() > deadline:
            raise StackError(f"no leader after {LEADERS_DEADLINE:.0f} s: {', '.join(leaderless)}")
        time.sleep(0.05)


def _leaderless(admin: AdminClient) -> list[str]:
    """A topic that was made just now may not even be listed yet."""
    topics = admin.list_topics(timeout=30).topics
    return [
        f"{each.topic}/{number}"
        for each in TOPICS
        for number in range(each.num_partitions)
        if each.topic not in topics
        or number not in topics[each.topic].partitions
        or topics[each.topic].partitions[number].leader < 0
    ]


def _admin(settings: Settings) -> AdminClient:
    # The client's own log would tell of every refused connection while the broker starts.
    return AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
