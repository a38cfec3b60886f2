"""A Kafka of a test's own, that may be killed, run out of disk and lose what it had.

with own_kafka(tmp_path, settings) as broker:
    …broker.settings are the settings with its address…
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from core.kafka_client import client_configuration
from core.settings import Settings
from infra.ports import free_ports
from infra.services import kafka
from tests.support.broker import JAVA, broker, format_data
from tests.support.process import run
from tests.support.waiting import wait_for

TIMEOUT = 30.0
PAYLOAD = " payload: "


class OwnKafka:
    """The broker, running or killed."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._port, self._controller = free_ports(2)
        self.settings = replace(settings, kafka_bootstrap_servers=f"127.0.0.1:{self._port}")
        self.data = folder / "data"
        self._log = folder / "broker.log"
        self._properties = folder / "server.properties"
        self._properties.write_text(self._server_properties())
        format_data(self._properties)
        self._admin = AdminClient({**client_configuration(self.settings), "log_level": 0})
        self.process = broker(self._properties, self._log)

    def wait_until_ready(self) -> None:
        self.process.wait_for(lambda: kafka.is_ready(self.settings))
        kafka.initialise(self.settings)

    def restart(self) -> None:
        """Start it after it was killed or has ended; return when it serves."""
        self.process = broker(self._properties, self._log)
        self.wait_until_ready()

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """Let no file grow beyond a size in bytes, as a full disk would."""
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)

    def partitions(self, topic: str) -> list[Path]:
        """Return the folders of the topic's partitions, those of a deleted topic too."""
        return [path for path in self.data.glob(f"{topic}-*") if path.is_dir()]

    def delete(self, topic: str) -> None:
        """Delete a topic; its files stay for a minute."""
        self._admin.delete_topics([topic])[topic].result(timeout=TIMEOUT)
        wait_for(lambda: topic not in self._admin.list_topics(timeout=TIMEOUT).topics)

    def create_topics(self) -> None:
        """Create those of the project's topics that are missing."""
        kafka.initialise(self.settings)

    def renew_topics(self) -> None:
        """Give the next test empty topics with their usual partitions and settings."""
        for each in kafka.TOPICS:
            self.delete(each.topic)
        self.create_topics()

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic; return when each has a leader."""
        added = self._admin.create_partitions([NewPartitions(topic, partitions)])
        added[topic].result(timeout=TIMEOUT)
        wait_for(lambda: len(self._led(topic)) == partitions)

    def _led(self, topic: str) -> list[int]:
        found = self._admin.list_topics(timeout=TIMEOUT).topics[topic].partitions
        return [number for number, partition in found.items() if partition.leader >= 0]

    def configure(self, topic: str, name: str, value: str) -> None:
        """Change a topic's setting."""
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        topic_resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        done = self._admin.incremental_alter_configs([topic_resource])
        done[topic_resource].result(timeout=TIMEOUT)

    def _server_properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller}
listeners=PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={self.data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def values_in(partition: Path) -> list[str]:
    """Return the values of the messages in a partition's files, which nobody writes to."""
    segments = ",".join(str(path) for path in sorted(partition.glob("*.log")))
    command = [*JAVA, "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", kafka.CLASSPATH]
    command += ["kafka.tools.DumpLogSegments", "--print-data-log", "--files", segments]
    lines = run(command).stdout.splitlines()
    return [line.partition(PAYLOAD)[2] for line in lines if PAYLOAD in line]


@contextmanager
def own_kafka(folder: Path, settings: Settings) -> Iterator[OwnKafka]:
    """Yield a broker with the project's topics. It is killed at the end of the block."""
    own = OwnKafka(folder, settings)
    try:
        own.wait_until_ready()
        yield own
    finally:
        own.process.kill()
