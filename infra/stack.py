"""Define a stack: a feed's folder below STACK_DIR, and the environment of each program in it."""

import getpass
import os
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from core.settings import EXCHANGE, EXTRACTORS, JOBS, SERVER, Program, Settings
from exchanges import EXCHANGES
from infra import paths, ports
from infra.class_archives import spark_options
from infra.secured import certificates, logins

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
    """Settings for initialising the stack; those of a secured stack have the administrator's logins."""
    secured: bool = False

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    @property
    def spark_folder(self) -> Path:
        """Folder of Spark's temporary files. A killed JVM leaves some 350 MB of them."""
        return self.folder / "spark"

    def settings_of(self, program: Program) -> Settings:
        """Return the settings with the program's own logins."""
        if not self.secured:
            return self.settings
        return logins.settings_of(program, self.settings, self.folder)

    def program_environments(self) -> dict[str, dict[str, str]]:
        """Return, for each of our programs, the settings that it reads; empty ones are left out."""
        programs = {"jobs": JOBS, "server": SERVER, "exchange": EXCHANGE}
        programs |= {each.name: EXTRACTORS for each in EXCHANGES}
        environments = {
            name: {
                variable: value
                for variable, value in self.settings_of(program).environment(program).items()
                if value
            }
            for name, program in programs.items()
        }
        environments["jobs"] |= self._trust()
        return environments

    def environment(self) -> dict[str, str]:
        """Return the variables with which spark-submit, psql and our programs find this stack."""
        return self.settings.environment() | self.tool_environment()

    def tool_environment(self) -> dict[str, str]:
        """Return the variables of Spark and other tools, which contain no login."""
        return {
            "SPARK_CONF_DIR": str(paths.SPARK_CONF),
            "SPARK_SUBMIT_OPTS": spark_options("read"),
            # Without this, Spark listens on the machine's address.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.spark_folder),
            "PYSPARK_PYTHON": str(paths.VENV_BIN / "python"),
            "TZ": "UTC",
        }

    def _trust(self) -> dict[str, str]:
        """Return the variables with which Java and delta-rs trust a secured stack's certificates.

        They then trust no other certificate, so only the jobs and the shells of `exports` get them.
        """
        if not self.secured:
            return {}
        trusted = certificates.java_options(logins.truststore(self.folder))
        return {
            "SPARK_SUBMIT_OPTS": f"{spark_options('read')} {trusted}",
            "SSL_CERT_FILE": str(logins.authority(self.folder)),
        }

    def exports(self) -> str:
        """Return the environment of the jobs' commands as shell lines.

        The virtual environment comes first on PATH.
        """
        environment = self.settings_of(JOBS).environment() | self.tool_environment() | self._trust()
        lines = [
            # Unset empty settings: libraries that read the same variables treat "" as a value.
            f"export {name}={shlex.quote(value)}" if value else f"unset {name}"
            for name, value in environment.items()
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
        return self.postgres_distribution / ("bin" if self.secured else paths.POSTGRES_BIN)

    @property
    def postgres_distribution(self) -> Path:
        """Folder of Postgres's files. For root it is a copy: `postgres_user` may not reach the wheel.

        The files of a secured stack are from an archive.
        """
        if self.secured or os.geteuid() == 0:
            return self.folder / "postgres" / "distribution"
        return paths.site_packages()


def stack_of(feed: str, settings: Settings, *, secured: bool = False) -> Stack:
    """Return the stack of a feed. The demo uses the replay exchange; all else follows the settings.

    A secured stack has a separate folder, in which its passwords are created at the first use.
    """
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
    folder = _folder(base, feed, secured)
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
    if secured:
        settings = logins.secured(settings, folder)
    return Stack(feed, folder, settings, secured)


def stack_on_free_ports(name: str, *, secured: bool = False) -> Stack:
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
    return stack_of("demo", settings, secured=secured)


def all_stacks(settings: Settings) -> list[Stack]:
    """Return the stacks whose folders exist."""
    base = paths.stack_dir(settings.stack_dir)
    return [
        stack_of(feed, settings, secured=secured)
        for feed in FEEDS
        for secured in (False, True)
        if _folder(base, feed, secured).exists()
    ]


def _folder(base: Path, feed: str, secured: bool) -> Path:
    return base / (f"{feed}-secured" if secured else feed)


def delete(stack: Stack) -> None:
    """Delete the stack's folder. The stack must be down."""
    shutil.rmtree(stack.folder)
