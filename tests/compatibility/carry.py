"""Carry the data of an earlier version to running services."""

from collections.abc import Callable
from pathlib import Path

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.stack import Stack
from tests.compatibility.kept import Version
from tests.compatibility.make_data import journal_files
from tests.support.exchange_clients import NOWHERE
from tests.support.extractor import Extractor
from tests.support.process import run
from tests.support.replay_exchange import settings_at


def restore_tables(stack: Stack, settings: Settings, version: Version) -> None:
    """Create the database as the version left it, without any newer migration."""
    server, _, name = settings.database_url.rpartition("/")
    psql = [str(stack.postgres_bin / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    for statement in (f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"):
        run([*psql, f"{server}/postgres", "--command", statement])
    run([*psql, settings.database_url, "--file", str(version.tables)])


def deliver_journals(settings: Settings, extractor: Callable[[str, Settings], Extractor]) -> None:
    """Run the extractors, without an exchange, until Kafka and `landing/` have the journals' items."""
    journals = [Path(settings.journal_dir) / name for name in TOPIC_OF_EXCHANGE]
    assert all(journal_files(journal) for journal in journals)
    processes = [extractor(name, settings_at(settings, NOWHERE)) for name in TOPIC_OF_EXCHANGE]
    for process in processes:
        process.wait_for(
            lambda: [path for journal in journals for path in journal_files(journal)],
            lambda left: not left,
        )
    assert [process.terminate() for process in processes] == [0, 0]
