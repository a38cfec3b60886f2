"""Define a stack: a feed's folder below STACK_DIR, and the environment of all programs in it."""

import getpass
import os
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from core.settings import Settings
from exchanges import EXCHANGES
from infra import paths, ports
from infra.class_archives import spark_options

FEEDS = ("live", "demo")

LOCAL_KEYS = ("admin", "password123")
"""Key and secret of the local object store (default if the settings have none)."""

STACK_VARIABLE = "CRYPTOPRICESRT_STACK"
"""Environment variable of every process of a stack, to find those that a killed supervisor left."""


class StackError(RuntimeError):
    """Raised when the stack can't do what was asked. The message has the reason and the remedy."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The services, extractors, jobs and server of one feed."""

    feed: str
    folder: Path
    settings: Settings

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    @property
    def spark_folder(self) -> Path:
        """Folder of Spark's temporary files. A killed JVM leaves some 350 MB of them."""
        return self.folder / "spark"

    def environment(self) -> dict[str, str]:
        """Return the variables with which spark-submit, psql and our programs find this stack."""
        return self.settings.environment() | {
            "SPARK_CONF_DIR": str(paths.SPARK_CONF),
            "SPARK_SUBMIT_OPTS": spark_options("read"),
            # Without this, Spark listens on the machine's address.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.spark_folder),
            "PYSPARK_PYTHON": str(paths.VENV_BIN / "python"),
            "TZ": "UTC",
        }

    def exports(self) -> str:
        """Return the environment as shell lines. The virtual environment comes first on PATH."""
        lines = [
            # Unset empty settings: libraries that read the same variables treat "" as a value.
            f"export {name}={shlex.quote(value)}" if value else f"unset {name}"
            for name, value in self.environment().items()
        ]
        first, last = shlex.quote(str(paths.VENV_BIN)), shlex.quote(str(self.postgres_bin))
        lines.append(f'export PATH={first}:"$PATH":{last}')
        return "\n".join(lines)

    @property
    def postgres_user(self) -> str:
        """User who runs Postgres, which refuses to run as root."""
        return "nobody" if os.geteuid() == 0 else getpass.getuser()

    @property
    def postgres_bin(self) -> Path:
        return self.postgres_distribution / paths.POSTGRES_BIN

    @property
    def postgres_distribution(self) -> Path:
        """Folder of Postgres's files. For root it is a copy: `postgres_user` may not reach the wheel."""
        if os.geteuid() == 0:
            return self.folder / "postgres" / "distribution"
        return paths.site_packages()


def stack_of(feed: str, settings: Settings) -> Stack:
    """Return the stack of a feed. The demo uses the replay exchange; all else follows the settings."""
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
    # stack_dir=base: a shell that sources `exports()` keeps using the same base.
    settings = replace(
        settings,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        # A session token belongs to another store's keys; the local store issues none.
        aws_session_token="",
        stack_dir=str(base),
        checkpoint_dir=str(folder / "checkpoints"),
        journal_dir=str(folder / "journal"),
    )
    return Stack(feed, folder, settings)


def stack_on_free_ports(name: str) -> Stack:
    """Return a demo stack with separate ports and folder, for tests and benchmarks."""
    kafka, controller, s3, console, postgres, server, exchange, *others = ports.free_ports(
        12 + len(EXCHANGES)
    )
    prometheus, alertmanager, *metrics = others
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
        prometheus_port=prometheus,
        alertmanager_port=alertmanager,
        exchange_port=exchange,
        stack_dir=str(paths.stack_dir("") / f"{name}-{os.getpid()}"),
        # The candles of thousands of pairs would take time from what is tested or measured.
        backfill_1m_hours=0,
        backfill_1h_days=0,
        backfill_1d_days=0,
    )
    for each, port in zip(EXCHANGES, metrics[3:], strict=True):
        settings = settings.with_exchange(each.name, metrics_port=port)
    return stack_of("demo", settings)


def all_stacks(settings: Settings) -> list[Stack]:
    """Return the stacks whose folders exist."""
    stacks = (stack_of(feed, settings) for feed in FEEDS)
    return [stack for stack in stacks if stack.folder.exists()]


def delete(stack: Stack) -> None:
    """Delete the stack's folder. The stack must be down."""
    shutil.rmtree(stack.folder)
