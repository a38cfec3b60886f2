"""List the ports of the local stack, report which program holds a busy one, and lease free ports."""

import errno
import fcntl
import itertools
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from core.settings import Settings, is_loopback
from exchanges import EXCHANGES

LEASED = range(10_000, 30_000)
"""Ports for stacks of tests and benchmarks. They are below the kernel's ephemeral ports (from 32768; Linux,
net.ipv4.ip_local_port_range), one of which an outgoing connection could take before the service listens."""

LEASES = Path(tempfile.gettempdir()) / f"cryptopricesrt-{os.getuid()}-ports"
"""Folder with a lock file for each leased port: several test runs, each with several workers, share one
machine."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait for a busy port: the kernel frees a killed program's memory first, then its ports."""

CHECK_INTERVAL = 0.1
"""Seconds between two checks of a busy port."""


class PortError(RuntimeError):
    """The stack can't listen on a port. The message names the setting or, for leased ports, the range."""


@dataclass(frozen=True, slots=True)
class Port:
    service: str
    setting: str
    host: str
    number: int


@dataclass(frozen=True, slots=True)
class BusyPort:
    """A port that a program listens on already. `holder` names the program."""

    port: Port
    holder: str

    @property
    def problem(self) -> str:
        return f"port {self.port.number} of {self.port.service} is taken by {self.holder}"

    @property
    def remedy(self) -> str:
        return f"stop it, or set another port in {self.port.setting}"


def address_of_url(setting: str, url: str) -> tuple[str, int]:
    """Return host and port of a setting whose value is a URL or host:port."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.hostname is None or parts.port is None:
        raise PortError(f"{setting}: {parts.hostname!r} has no port")
    return parts.hostname, parts.port


def kafka_address(settings: Settings) -> tuple[str, int]:
    return address_of_url("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers.split(",")[0])


def s3_address(settings: Settings) -> tuple[str, int]:
    return address_of_url("S3_ENDPOINT_URL", settings.s3_endpoint_url)


def postgres_address(settings: Settings) -> tuple[str, int]:
    return address_of_url("DATABASE_URL", settings.database_url)


def of_settings(settings: Settings) -> Iterator[Port]:
    """Yield the ports of the local stack, without SERVER_SHARED_PORT, monitoring and replay exchange.

    The ports of raw_archive and price_history are reserved: only a job that runs alone listens there.
    Raise PortError if Kafka, MinIO or Postgres is not on loopback.
    """
    kafka = kafka_address(settings)
    s3 = s3_address(settings)
    yield _loopback("Kafka", "KAFKA_BOOTSTRAP_SERVERS", *kafka)
    yield Port(
        "Kafka's controller", "KAFKA_CONTROLLER_PORT", kafka[0], settings.kafka_controller_port
    )
    yield _loopback("MinIO", "S3_ENDPOINT_URL", *s3)
    yield Port("MinIO's console", "S3_CONSOLE_PORT", s3[0], settings.s3_console_port)
    yield _loopback("Postgres", "DATABASE_URL", *postgres_address(settings))
    for exchange in EXCHANGES:
        number = settings.exchanges[exchange.name].metrics_port
        yield _metrics(exchange.title, exchange.name, settings, number)
    for job, number in {
        "live_prices": settings.live_prices_metrics_port,
        "raw_archive": settings.raw_archive_metrics_port,
        "price_history": settings.price_history_metrics_port,
    }.items():
        yield _metrics(job, job, settings, number)
    yield Port("the server", "SERVER_PORT", settings.server_host, settings.server_port)


def of_monitoring(settings: Settings) -> Iterator[Port]:
    """Yield the ports of Prometheus and Alertmanager."""
    yield Port("Prometheus", "PROMETHEUS_PORT", "127.0.0.1", settings.prometheus_port)
    yield Port("Alertmanager", "ALERTMANAGER_PORT", "127.0.0.1", settings.alertmanager_port)


def _metrics(service: str, name: str, settings: Settings, number: int) -> Port:
    setting = f"{name.upper()}_METRICS_PORT"
    return Port(f"{service}'s metrics", setting, settings.metrics_host, number)


def refuse_busy(ports: Iterator[Port]) -> None:
    """Raise PortError if ports are still busy after `BUSY_TIMEOUT` seconds. The message names all of them."""
    if busy := busy_ports(ports):
        raise PortError("\n".join(f"{each.problem}: {each.remedy}" for each in busy))


def busy_ports(ports: Iterator[Port]) -> list[BusyPort]:
    """Return the ports that are still busy after `BUSY_TIMEOUT` seconds."""
    end = time.monotonic() + BUSY_TIMEOUT
    busy = [port for port in ports if not _is_free(port)]
    while busy and time.monotonic() < end:
        time.sleep(CHECK_INTERVAL)
        busy = [port for port in busy if not _is_free(port)]
    return [BusyPort(port, _holder(port.number)) for port in busy]


def free_ports(count: int) -> list[int]:
    """Return `count` free ports of 127.0.0.1, leased to this process until it ends."""
    LEASES.mkdir(exist_ok=True)
    candidates = list(LEASED)
    # Shuffled to avoid collisions with programs that ignore the leases, such as another user's.
    random.shuffle(candidates)
    ports = [*itertools.islice(filter(_lease, candidates), count)]
    if len(ports) < count:
        raise PortError(f"fewer than {count} ports from {LEASED[0]} to {LEASED[-1]} are free")
    return ports


def _lease(number: int) -> bool:
    """Lease the port to this process. Return False if it is busy or leased."""
    # Stays open until the process ends; then the kernel releases the lease, even after a kill.
    lease = os.open(LEASES / str(number), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        socket.create_server(("127.0.0.1", number)).close()
    except OSError:
        os.close(lease)
        return False
    return True


def _loopback(service: str, setting: str, host: str, number: int) -> Port:
    if not is_loopback(host):
        raise PortError(
            f"{setting} points at {host}: the local stack listens on loopback only. "
            "To use services that run elsewhere, start the jobs and extractors by hand"
        )
    return Port(service, setting, host, number)


def _is_free(port: Port) -> bool:
    try:
        family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
        # create_server sets SO_REUSEADDR, as listeners do, so connections in TIME_WAIT do not count.
        socket.create_server((port.host, port.number), family=family).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortError(
                f"{port.setting}: can't listen on {port.host}:{port.number}: {error.strerror or error}"
            ) from error
        return False
    return True


def _holder(number: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.laddr
                and connection.laddr.port == number
                and connection.status == "LISTEN"
            ):
                if connection.pid:
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass  # Another user's process: its name is not visible.
    return "another program"
