"""Run a Kafka broker as a child process, with a configuration that a test writes."""

import shlex
from pathlib import Path

from infra import paths
from infra.class_archives import kafka_options
from infra.services import kafka
from tests.support.process import Process, run

JAVA = ("java", "-XX:TieredStopAtLevel=1", "-Xmx256m", *shlex.split(kafka_options("read")))


def format_data(properties: Path) -> None:
    """Format the data folder that a configuration names."""
    command = [*JAVA, "-cp", kafka.CLASSPATH, "kafka.tools.StorageTool", "format"]
    run([*command, "--cluster-id", kafka.CLUSTER_ID, "--config", properties])


def broker(properties: Path, log: Path) -> Process:
    """Start a broker and return before it is ready."""
    log4j = paths.PROJECT / "infra" / "kafka" / "log4j2.properties"
    command = [*JAVA, f"-Dlog4j2.configurationFile={log4j}", "-cp", kafka.CLASSPATH]
    return Process([*command, "kafka.Kafka", properties], log)
