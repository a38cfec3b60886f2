"""Which ports the local stack listens on, and who holds one that is busy."""

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
"""Ports for stacks of tests and benchmarks. The kernel takes local ports of connections from 32768 on
(Linux, net.ipv4.ip_local_port_range): one of those may be taken before its listener starts."""

LEASES = Path(tempfile.gettempdir()) / f"cryptopricesrt-{os.getuid()}-ports"
"""A file for each leased port. Several test runs, each with several workers, share one machine."""


ENDING = 5.0
"""Seconds in which a port may become free: the kernel closes a killed program's after it freed its memory."""

CHECKED_EVERY = 0.1


class PortError(RuntimeError):
    """A port that the stack can't listen on. The message has the setting's name and the number."""


@dataclass(frozen=True, slots=True)
class Port:
    service: str
    setting: str
    host: str
    number: int


def of_url(setting: str, url: str) -> tuple[str, int]:
    """Host and port of a URL or of host:port, which is the value of this setting."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    if parts.hostname is None or parts.port is None:
        raise PortError(f"{setting}: {parts.hostname!r} names no port")
    return parts.hostname, parts.port


def kafka_address(settings: Settings) -> tuple[str, int]:
    return of_url("KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers.split(",")[0])


def s3_address(settings: Settings) -> tuple[str, int]:
    return of_url("S3_ENDPOINT_URL", settings.s3_endpoint_url)


def postgres_address(settings: Settings) -> tuple[str, int]:
    return of_url("DATABASE_URL", settings.database_url)


def of_settings(settings: Settings) -> Iterator[Port]:
    """Every port of the local stack. Raises PortError for a service that is not on loopback."""
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


def _metrics(service: str, name: str, settings: Settings, number: int) -> Port:
    setting = f"{name.upper()}_METRICS_PORT"
    return Port(f"{service}'s metrics", setting, settings.metrics_host, number)


def refuse_busy(ports: Iterator[Port]) -> None:
    """Raise PortError that names every port which something else still listens on after `ENDING` seconds."""
    end = time.monotonic() + ENDING
    busy = [port for port in ports if not _is_free(port)]
    while busy and time.monotonic() < end:
        time.sleep(CHECKED_EVERY)
        busy = [port for port in busy if not _is_free(port)]
    if busy:
        raise PortError(
            "\n".join(
                f"port {port.number} of {port.service} is taken by {_holder(port.number)}: "
                f"stop it, or set {port.setting} to another"
                for port in busy
            )
        )


def free_ports(count: int) -> list[int]:
    """Return different ports of 127.0.0.1 that are free, leased to this process until it ends."""
    LEASES.mkdir(exist_ok=True)
    candidates = list(LEASED)
    # In any order: whoever has no leases, such as another user's program, seldom takes the same.
    random.shuffle(candidates)
    ports = [*itertools.islice(filter(_lease, candidates), count)]
    if len(ports) < count:
        raise PortError(f"no {count} ports from {LEASED[0]} to {LEASED[-1]} are free")
    return ports


def _lease(number: int) -> bool:
    """Whether the port is free, and now leased to this process."""
    # Open until the process ends: then the kernel releases the lease, however it ends.
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
        # As a listener would bind it: connections in TIME_WAIT do not count.
        socket.create_server((port.host, port.number)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortError(
                f"{port.setting}: can't listen on {port.host}:{port.number}: {os.strerror(error.errno or 0)}"
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
        pass  # Another user's process: its name is not ours to see.
    return "another program"
