"""One stack: a feed's folder below STACK_DIR, and the environment of everything that runs in it."""

import getpass
import os
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from core.settings import Settings
from exchanges import EXCHANGES
from infra import paths, ports

FEEDS = ("live", "demo")

LOCAL_KEYS = ("admin", "password123")
"""Key and secret of the local object store, unless the settings name others."""

# Marks every process of a stack, so that what a killed supervisor left behind is found.
STACK_VARIABLE = "CRYPTOPRICESRT_STACK"


class StackError(RuntimeError):
    """The stack can't do what was asked. The message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The services, extractors, jobs and server of one feed."""

    feed: str
    folder: Path
    settings: Settings

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    def environment(self) -> dict[str, str]:
        """What a shell needs so that spark-submit, psql and the project's programs find this stack."""
        return self.settings.environment() | {
            "SPARK_CONF_DIR": str(paths.SPARK_CONF),
            # Spark would listen on the machine's address otherwise.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": str(paths.VENV_BIN / "python"),
            "TZ": "UTC",
        }

    def exports(self) -> str:
        """The environment as shell lines. The virtual environment's programs come first on PATH."""
        lines = [
            # An empty setting is not set. Libraries that read the same variables tell the two apart.
            f"export {name}={shlex.quote(value)}" if value else f"unset {name}"
            for name, value in self.environment().items()
        ]
        first, last = shlex.quote(str(paths.VENV_BIN)), shlex.quote(str(self.postgres_bin))
        lines.append(f'export PATH={first}:"$PATH":{last}')
        return "\n".join(lines)

    @property
    def postgres_user(self) -> str:
        """Who runs Postgres, which refuses root."""
        return "nobody" if os.geteuid() == 0 else getpass.getuser()

    @property
    def postgres_bin(self) -> Path:
        return self.postgres_distribution / paths.POSTGRES_BIN

    @property
    def postgres_distribution(self) -> Path:
        """As root a copy, because `postgres_user` may not reach the wheel's."""
        if os.geteuid() == 0:
            return self.folder / "postgres" / "distribution"
        return paths.site_packages()


def stack_of(feed: str, settings: Settings) -> Stack:
    """The stack of a feed. The demo's exchange is the replay exchange; the rest is as the settings say."""
    base = paths.stack_dir(settings.stack_dir)
    if os.geteuid() == 0 and not paths.others_can_enter(base):
        raise StackError(
            f"STACK_DIR={base}: Postgres refuses to run as root, and the user nobody, who runs it "
            "instead, can't enter this folder. Leave STACK_DIR empty, or choose another"
        )
    if feed == "demo":
        settings = settings.with_all_exchanges_at(f"127.0.0.1:{settings.exchange_port}")
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if not key:
        key, secret = LOCAL_KEYS
    folder = base / feed
    # The shell that asks for the environment goes on using the same base.
    settings = replace(
        settings,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        # The local store is the one that issued the key, so a token of another is none of its own.
        aws_session_token="",
        stack_dir=str(base),
        checkpoint_dir=str(folder / "checkpoints"),
        journal_dir=str(folder / "journal"),
    )
    return Stack(feed, folder, settings)


def stack_on_free_ports(name: str) -> Stack:
    """A demo stack with ports and a folder of its own, for a test or a benchmark beside any other."""
    kafka, controller, s3, console, postgres, server, exchange, *metrics = ports.free_ports(
        10 + len(EXCHANGES)
    )
    settings = Settings(
        kafka_bootstrap_servers=f"127.0.0.1:{kafka}",
        kafka_controller_port=controller,
        s3_endpoint_url=f"http://127.0.0.1:{s3}",
        s3_console_port=console,
        database_url=f"postgresql://crypto:password123@127.0.0.1:{postgres}/cryptopricesrt",
        reader_database_url=f"postgresql://reader:password123@127.0.0.1:{postgres}/cryptopricesrt",
        live_prices_metrics_port=metrics[0],
        raw_archive_metrics_port=metrics[1],
        price_history_metrics_port=metrics[2],
        server_port=server,
        exchange_port=exchange,
        stack_dir=str(paths.stack_dir("") / f"{name}-{os.getpid()}"),
    )
    for each, port in zip(EXCHANGES, metrics[3:], strict=True):
        settings = settings.with_exchange(each.name, metrics_port=port)
    return stack_of("demo", settings)


def all_stacks(settings: Settings) -> list[Stack]:
    """The stacks whose folders exist."""
    stacks = (stack_of(feed, settings) for feed in FEEDS)
    return [stack for stack in stacks if stack.folder.exists()]


def delete(stack: Stack) -> None:
    """Everything that the stack kept. It must be down."""
    shutil.rmtree(stack.folder)
