"""Bring a stack up in order: services, their topics, bucket and tables, then the programs."""

import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

import psycopg2
from deltalake.exceptions import DeltaError

from core.kafka_client import client_configuration
from core.settings import Settings
from exchanges import EXCHANGE
from infra import earlier_rules, ports, supervision
from infra.class_archives import Mode, kafka_options
from infra.secured import securing
from infra.secured.certificates import CertificateError
from infra.services import kafka, object_store, postgres
from infra.stack import Stack, StackError, all_stacks
from infra.waiting import wait_until


class Service(Protocol):
    """Interface of the modules in SERVICES."""

    def prepare(self, stack: Stack) -> None:
        """Prepare the service's folder, before its program starts."""

    def is_ready(self, settings: Settings) -> bool: ...

    def initialise(self, settings: Settings) -> None:
        """Create the service's topics, bucket or tables. Idempotent."""


SERVICES: dict[str, Service] = {"kafka": kafka, "minio": object_store, "postgres": postgres}
EXTRACTORS = tuple(EXCHANGE)
JOBS = ("jobs",)
READY_DEADLINE = 60.0


def everything_up(stack: Stack) -> None:
    """Start the programs of `up`, then the jobs and the server."""
    up(stack)
    supervision.start_programs(stack, [*JOBS, "server"])


def up(stack: Stack) -> None:
    """Start the services, then the replay exchange if this is the demo, then the extractors."""
    if stack.feed == "live":
        _refuse_replay_exchange(stack.settings)
    services_up(stack)
    if stack.feed == "demo":
        supervision.start_programs(stack, ["exchange"])
    supervision.start_programs(stack, EXTRACTORS)


def services_up(stack: Stack, classes: Mode = "read") -> None:
    """Start those of Kafka, MinIO and Postgres that are not up yet, and initialise all three.

    `classes` says whether Kafka's JVM reads its class archive or writes it when it ends.
    Raise StackError or PortError, with the remedy. Nothing is started if a port is busy.
    """
    create_folder(stack)
    with _alone(stack):
        if not supervision.is_running(stack):
            _refuse_second_stack(stack)
            if not stack.secured:
                _refuse_secure_kafka(stack)
            if supervision.stop(stack):
                print("stopped the processes that a killed supervisor left")
            ports.refuse_busy(_ports(stack))
            if stack.secured:
                _create_certificates(stack)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.prepare(stack), SERVICES.values()))
            supervision.start(
                stack,
                {"KAFKA_CLASSPATH": kafka.CLASSPATH, "KAFKA_OPTS": kafka_options(classes)}
                | postgres.environment(stack),
            )
        supervision.start_programs(stack, SERVICES)
        initialise(stack.settings, f"its log is in {stack.log_folder}")
        if stack.secured:
            securing.set_users(stack)


def create_folder(stack: Stack) -> None:
    """Create the stack's folder. As root, also set the umask of this process.

    Root runs Postgres as another user, from whom its umask may hide new folders. Secret files have a mode of
    their own.
    """
    if os.geteuid() == 0:
        os.umask(0o022)
    stack.folder.mkdir(parents=True, exist_ok=True)


def _create_certificates(stack: Stack) -> None:
    try:
        securing.prepare(stack)
    except CertificateError as error:
        raise StackError(f"the certificates could not be created: {error}") from error


def initialise(settings: Settings, hint: str) -> None:
    """Create topics, bucket and tables once the services answer. Idempotent.

    Print which rows an earlier version computed by other rules.

    Raise StackError with `hint` if a service does not become ready.
    """
    with ThreadPoolExecutor() as pool:
        for line in pool.map(lambda name: _make_ready(settings, name, hint), SERVICES):
            print(line)
    print_advice(settings)


def print_advice(settings: Settings) -> None:
    """Print which rows an earlier version computed by other rules, if there are any.

    A table that can't be read is no error here: programs that need it report that themselves.
    """
    try:
        text = earlier_rules.advice(settings)
    except (psycopg2.Error, DeltaError, OSError) as error:
        reason = " ".join(str(error).split())
        text = f"rows of earlier versions: not checked: {reason}. make doctor looks for the cause"
    if text:
        print(text)


def _make_ready(settings: Settings, name: str, hint: str) -> str:
    service = SERVICES[name]
    began = time.monotonic()
    if not wait_until(lambda: service.is_ready(settings), deadline=READY_DEADLINE):
        raise StackError(f"{name} is not ready after {READY_DEADLINE:.0f} s; {hint}")
    service.initialise(settings)
    return f"{name}: ready after {time.monotonic() - began:.1f} s"


def _ports(stack: Stack) -> Iterator[ports.Port]:
    yield from ports.of_settings(stack.settings)
    if stack.feed == "demo":
        number = stack.settings.exchange_port
        yield ports.Port("the replay exchange", "EXCHANGE_PORT", "127.0.0.1", number)


def _refuse_second_stack(stack: Stack) -> None:
    for other in all_stacks(stack.settings):
        if other.name != stack.name and supervision.is_running(other):
            raise StackError(
                f"the {other.name} stack is up and uses the same ports: make down first"
            )


def _refuse_secure_kafka(stack: Stack) -> None:
    """Raise StackError if clients use TLS or logins: the local broker has neither; they would hang."""
    if client_configuration(stack.settings).get("security.protocol", "plaintext") != "plaintext":
        raise StackError(
            f"KAFKA_CLIENT_PROPERTIES={stack.settings.kafka_client_properties}: the local stack's "
            "Kafka has neither TLS nor logins. Unset it, start a secured stack (SECURED=1), or use your "
            "services: make initialise"
        )


def _refuse_replay_exchange(settings: Settings) -> None:
    """Raise StackError if an exchange has the replay exchange's address, as in a shell with `make env`."""
    replay = f"127.0.0.1:{settings.exchange_port}"
    for name, own in settings.exchanges.items():
        for key, url in own.addresses.items():
            if urlsplit(url).netloc == replay:
                raise StackError(
                    f"{name.upper()}_{key.upper()}_URL={url}: this is the demo's exchange. The shell has the "
                    "demo's environment: use another shell, or unset the variable"
                )


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """Hold the stack's lock for the block, so that two commands can't both start it."""
    with (stack.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def running_stack(settings: Settings) -> Stack:
    """Return the stack that is up. Raise StackError if none is."""
    for stack in all_stacks(settings):
        if supervision.is_running(stack):
            return stack
    raise StackError("no stack is up: make up, make live or make demo first")
