"""Run the commands behind the Makefile: python -m infra --help lists them."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from core.no_proxy import exempt_loopback
from core.settings import STACK, SettingError, Settings
from exchanges import EXCHANGE
from infra import backup, exchange_request, first_prices, ports, supervision
from infra.addresses import reachable_address
from infra.monitoring.monitor import alertmanager_url, monitor, prometheus_url
from infra.stack import FEEDS, Stack, StackError, all_stacks, delete, stack_of
from infra.up import (
    EXTRACTORS,
    JOBS,
    SERVICES,
    everything_up,
    initialise,
    print_advice,
    running_stack,
    services_up,
    up,
)


def demo(stack: Stack) -> None:
    """Start all programs with the replay exchange. Return when prices of every exchange are served."""
    _everything(stack)
    first_prices.wait(stack, EXTRACTORS)
    _print_addresses(stack)


def live(stack: Stack) -> None:
    """Start all programs with the real exchanges.

    Print those that are unreachable or refuse this machine; their extractors retry.
    """
    _everything(stack)
    reachable = [name for name in EXTRACTORS if is_reachable(stack, name)]
    first_prices.wait(stack, reachable)
    _print_addresses(stack)


def _everything(stack: Stack) -> None:
    everything_up(stack)
    print("waiting for the first prices; the Spark jobs take some seconds to start")


def is_reachable(stack: Stack, exchange: str) -> bool:
    addresses = stack.settings.exchanges[exchange].addresses
    url = addresses["rest"] + EXCHANGE[exchange].reachable_path
    try:
        response = exchange_request.get(url, timeout=5)
    except requests.RequestException as error:
        print(
            f"{exchange}: {url} is unreachable ({type(error).__name__}). "
            "Its extractor keeps retrying; prices follow once it connects"
        )
        return False
    if not response.ok:
        print(
            f"{exchange}: {url} answered {response.status_code}. Its extractor keeps retrying; "
            "docs/operations.md says what a refusal means"
        )
    return response.ok


def _print_addresses(stack: Stack) -> None:
    settings = stack.settings
    store = urlsplit(settings.s3_endpoint_url)
    console = reachable_address(store.hostname or "", settings.s3_console_port)
    server = reachable_address(settings.server_host, settings.server_port)
    passwords = f"passwords in {stack.folder}/secrets"
    password = passwords if stack.secured else "password in AWS_SECRET_ACCESS_KEY"
    print(
        f"\n  prices   http://{server}/"
        f"\n  objects  {store.scheme}://{console}/   "
        f"(user {settings.aws_access_key_id}, {password})"
        '\n  shell    eval "$(make -s env)"'
        "\n  stop     make down\n"
    )


def down(settings: Settings) -> None:
    """Stop every process of every stack."""
    for stack in all_stacks(settings):
        ended = supervision.stop(stack)
        print(f"{stack.name}: {ended} processes ended" if ended else f"{stack.name}: not up")


def status(settings: Settings) -> None:
    """Print one line per program."""
    stack = running_stack(settings)
    print(f"{stack.name} stack in {stack.folder}")
    for program in supervision.programs(stack):
        print(f"  {program['name']:<12} {program['statename']:<9} {program['description']}")
    _print_addresses(stack)


def logs(settings: Settings) -> None:
    """Print the last 20 lines of every log; on a terminal, follow the logs until Ctrl-C."""
    stack = running_stack(settings)
    files = sorted(str(path) for path in stack.log_folder.glob("*.log"))
    follow = ["-F"] if sys.stdout.isatty() else []
    os.execvp("tail", ["tail", "-n", "20", *follow, *files])


def clean(settings: Settings) -> None:
    """Delete the data of every stack, after asking. Raise StackError if one is up."""
    stacks = all_stacks(settings)
    for stack in stacks:
        # The programs may run although their supervisor was killed.
        if supervision.is_running(stack) or [*supervision.processes_of(stack)]:
            raise StackError(f"the {stack.name} stack is up: make down first")
    for stack in stacks:
        size = subprocess.run(["du", "-sh", str(stack.folder)], capture_output=True, text=True)
        answer = input(f"delete {stack.folder} ({size.stdout.split()[0]})? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            delete(stack)


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StackError in place of an error of boto3."""
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        raise StackError(f"the object store failed: {error}") from error


def back_up(settings: Settings, folder: Path) -> None:
    """Copy bucket and database of the running stack to a new folder."""
    with store_errors():
        objects = backup.back_up(running_stack(settings).settings, folder)
    print(f"copied the database and {objects} objects to {folder}")


def restore(stack: Stack, folder: Path) -> None:
    """Start the services of an empty stack and fill them. Raise StackError if other programs run."""
    services_up(stack)
    running = [each["name"] for each in supervision.programs(stack) if each["pid"]]
    if others := sorted(set(running) - SERVICES.keys()):
        raise StackError(f"{', '.join(others)}: still running. Restore into a new stack")
    with store_errors():
        objects = backup.restore(stack.settings, folder)
    print(
        f"restored the database and {objects} objects. If Kafka's topics are new: make accept-topics. "
        f"Then make {stack.feed}"
    )


def jobs(settings: Settings) -> None:
    stack = running_stack(settings)
    supervision.start_programs(stack, JOBS)
    if all(service.is_ready(stack.settings) for service in SERVICES.values()):
        print_advice(stack.settings)


def stop_jobs(settings: Settings) -> None:
    supervision.stop_programs(running_stack(settings), JOBS)


def server(settings: Settings) -> None:
    supervision.start_programs(running_stack(settings), ["server"])


def monitored(settings: Settings) -> None:
    """Start Prometheus and Alertmanager beside the running stack, and print their addresses."""
    stack = running_stack(settings)
    monitor(stack)
    print(
        f"\n  Prometheus    {prometheus_url(stack)}/alerts"
        f"\n  Alertmanager  {alertmanager_url(stack)}/\n"
    )


def env(settings: Settings) -> None:
    print(running_stack(settings).exports())


def initialised(settings: Settings) -> None:
    initialise(settings, "check the address in the settings")


COMMANDS: Mapping[str, Callable[[Settings], None]] = {
    "jobs": jobs,
    "stop-jobs": stop_jobs,
    "server": server,
    "monitor": monitored,
    "down": down,
    "status": status,
    "logs": logs,
    "env": env,
    "clean": clean,
    "initialise": initialised,
}
"""Commands without arguments."""


def main() -> int:
    exempt_loopback(os.environ)
    parser = argparse.ArgumentParser(prog="python -m infra", description="The local stack.")
    of_feed = argparse.ArgumentParser(add_help=False)
    of_feed.add_argument("--feed", choices=FEEDS, default="live")
    of_security = argparse.ArgumentParser(add_help=False)
    of_security.add_argument(
        "--secured", action="store_true", help="with TLS, logins and access rights"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[of_feed, of_security])
    commands.add_parser("demo", parents=[of_security])
    commands.add_parser("live", parents=[of_security])
    commands.add_parser("back-up").add_argument("folder", type=Path)
    commands.add_parser("restore", parents=[of_feed]).add_argument("folder", type=Path)
    for name in COMMANDS:
        commands.add_parser(name)
    arguments = parser.parse_args()
    try:
        _run(arguments, Settings.from_environment(STACK))
    except (SettingError, StackError, ports.PortError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    match arguments.command:
        case "up":
            began = time.monotonic()
            up(stack_of(arguments.feed, settings, secured=arguments.secured))
            print(f"up after {time.monotonic() - began:.1f} s")
        case "demo":
            demo(stack_of("demo", settings, secured=arguments.secured))
        case "live":
            live(stack_of("live", settings, secured=arguments.secured))
        case "back-up":
            back_up(settings, arguments.folder)
        case "restore":
            restore(stack_of(arguments.feed, settings), arguments.folder)
        case name:
            COMMANDS[name](settings)


if __name__ == "__main__":
    sys.exit(main())
