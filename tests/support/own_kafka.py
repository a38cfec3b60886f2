"""Run a Kafka for tests that kill it, fill its disk or truncate its data.

with own_kafka(tmp_path, settings) as broker:
    …broker.settings are the settings with its address…
"""

import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
)

from core.kafka_client import client_configuration
from core.settings import Settings
from infra.ports import free_ports
from infra.services import kafka
from tests.support.broker import JAVA, broker, format_data
from tests.support.kafka import configure_topic, forget_producers
from tests.support.process import run
from tests.support.waiting import wait_for

TIMEOUT = 30.0
NUMBERS = tuple("0123456789")
PAYLOAD = " payload: "

FOREIGN_INTERVAL = 0.01
"""Seconds between two bursts of the foreign producer."""


class OwnKafka:
    """The broker, running or killed."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._port, self._controller = free_ports(2)
        self.settings = replace(settings, kafka_bootstrap_servers=f"127.0.0.1:{self._port}")
        self._data = folder / "data"
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
        """Kill the broker if it runs, and start it. Return when it is ready."""
        self.process.kill()
        self.process = broker(self._properties, self._log)
        self.wait_until_ready()

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """Limit the size of the broker's files, in bytes, to simulate a full disk."""
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)

    def partitions(self, topic: str) -> list[Path]:
        """Return the folders of the topic's partitions."""
        return [path for path in self._data.glob(f"{topic}-*") if path.name.endswith(NUMBERS)]

    def delete(self, topic: str) -> list[Path]:
        """Delete a topic. Return the folders of its partitions: Kafka keeps them for some time."""
        pattern = f"{topic}-*-delete"
        before = {*self._data.glob(pattern)}
        count = len(self._led(topic))
        self._delete(topic)
        return wait_for(
            lambda: [path for path in self._data.glob(pattern) if path not in before],
            lambda paths: len(paths) == count,
        )

    def _delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])[topic].result(timeout=TIMEOUT)
        wait_for(lambda: topic not in self._admin.list_topics(timeout=TIMEOUT).topics)

    def lose(self, topic: str, size: int) -> None:
        """Cut bytes off the end of each partition's file, as a power failure would.

        The broker must not be running.
        """
        for partition in self.partitions(topic):
            newest = max(partition.glob("*.log"))
            os.truncate(newest, max(0, newest.stat().st_size - size))

    def create_topics(self) -> None:
        """Create the project's topics that do not exist."""
        kafka.initialise(self.settings)

    def renew_topics(self) -> None:
        """Recreate all topics, empty and with default partitions and settings, for the next test."""
        present = self._admin.list_topics(timeout=TIMEOUT).topics
        for each in kafka.TOPICS:
            if each.topic in present:
                self._delete(each.topic)
        self.create_topics()
        for each in kafka.TOPICS:
            wait_for(partial(self._led, each.topic), partial(has_length, each.num_partitions))
        forget_producers()

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic; return when each has a leader."""
        added = self._admin.create_partitions([NewPartitions(topic, partitions)])
        added[topic].result(timeout=TIMEOUT)
        wait_for(lambda: len(self._led(topic)) == partitions)

    def _led(self, topic: str) -> list[int]:
        found = self._admin.list_topics(timeout=TIMEOUT).topics[topic].partitions
        return [number for number, partition in found.items() if partition.leader >= 0]

    def configure(self, topic: str, name: str, value: str) -> None:
        """Change a topic's setting. Return when the broker answers with the new value."""
        configure_topic(self._admin, topic, name, value)

    def _server_properties(self) -> str:
        return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self._controller}
listeners=PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={self._data}
log.segment.delete.delay.ms=600000
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def has_length(length: int, found: Sequence[object]) -> bool:
    return len(found) == length


def values_in(partitions: Iterable[Path]) -> list[str]:
    """Return the values of the messages in partitions' files. No broker may be writing to them."""
    segments = [str(path) for partition in partitions for path in sorted(partition.glob("*.log"))]
    command = [*JAVA, "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", kafka.CLASSPATH]
    command += ["kafka.tools.DumpLogSegments", "--print-data-log", "--files", ",".join(segments)]
    lines = run(command).stdout.splitlines()
    return [line.partition(PAYLOAD)[2] for line in lines if PAYLOAD in line]


@contextmanager
def foreign_producer(settings: Settings, topic: str) -> Iterator[None]:
    """Keep a foreign producer writing to all partitions of a topic for the block."""
    stop = Event()

    def write() -> None:
        producer = Producer({**client_configuration(settings), "log_level": 0})
        while not stop.is_set():
            for _ in range(20):
                producer.produce(topic, b"[]")
            producer.poll(FOREIGN_INTERVAL)
        producer.flush(TIMEOUT)

    writer = Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        stop.set()
        writer.join()


@contextmanager
def own_kafka(folder: Path, settings: Settings) -> Iterator[OwnKafka]:
    """Yield a broker with the project's topics. It is killed at the end of the block."""
    own = OwnKafka(folder, settings)
    try:
        own.wait_until_ready()
        yield own
    finally:
        own.process.kill()
