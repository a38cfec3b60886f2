"""Test that .env has the same meaning for make and a shell, or is refused with line and name."""

import subprocess
from pathlib import Path

import pytest

from infra.env_file import EnvFileError, settings_in
from infra.paths import PROJECT

GOOD = """\
# A comment, with $ and 'quotes'

S3_BUCKET=mine
SERVER_API_KEY=
AWS_SECRET_ACCESS_KEY='pa$w0rd#1;"%|&(x)~*!'
DATABASE_URL='postgresql://u:p%40ss@127.0.0.1:5432/d?sslmode=require&application_name=x'
KAFKA_BOOTSTRAP_SERVERS=one:9092,[::1]:9192
STACK_DIR=/srv/börse/a=b
S3_BUCKET=yours
"""
EXPECTED = {
    "S3_BUCKET": "yours",
    "SERVER_API_KEY": "",
    "AWS_SECRET_ACCESS_KEY": 'pa$w0rd#1;"%|&(x)~*!',
    "DATABASE_URL": "postgresql://u:p%40ss@127.0.0.1:5432/d?sslmode=require&application_name=x",
    "KAFKA_BOOTSTRAP_SERVERS": "one:9092,[::1]:9192",
    "STACK_DIR": "/srv/börse/a=b",
}

SHOW = """
show:
\t@env -0
"""


def settings_of(output: bytes) -> dict[str, str]:
    pairs = (each.decode().split("=", 1) for each in output.split(b"\0") if each)
    found = {name: value for name, value in pairs}
    return {name: found.get(name, "") for name in EXPECTED}


def make(folder: Path, text: str) -> subprocess.CompletedProcess[bytes]:
    """Run this project's Makefile, with an additional target, in a folder with this .env."""
    (folder / ".env").write_text(text)
    (folder / "infra").symlink_to(PROJECT / "infra")
    (folder / "show.mk").write_text(SHOW)
    command = ["make", "--silent", f"--file={PROJECT / 'Makefile'}", "--file=show.mk", "show"]
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True)


def test_reader_for_make_returns_each_value_as_it_is_meant() -> None:
    assert settings_in(GOOD) == EXPECTED


def test_make_exports_the_same_values_as_a_shell(tmp_path: Path) -> None:
    done = make(tmp_path, GOOD)
    assert settings_of(done.stdout) == EXPECTED, done.stderr
    shell = subprocess.run(
        ["sh", "-c", "set -a; . ./.env; env -0"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    assert settings_of(shell.stdout) == EXPECTED


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("AWS_SECRET_ACCESS_KEY=tr0ub4dor$w#1", " AWS_SECRET_ACCESS_KEY"),
        ("S3_BUCKET=tr0ub4dor   # my bucket", " S3_BUCKET"),
        ("S3_BUCKET=tr0ub4dor ", " S3_BUCKET"),
        ("S3_BUCKET=tr0ub4dor\r", " S3_BUCKET"),
        ("S3_BUCKET = tr0ub4dor", " S3_BUCKET"),
        ("export S3_BUCKET=tr0ub4dor", " S3_BUCKET"),
        ('S3_BUCKET="tr0ub4dor"', " S3_BUCKET"),
        ("S3_BUCKET='tr0ub4dor' # mine", " S3_BUCKET"),
        ("S3_BUCKET='tr0ub4 dor'", " S3_BUCKET"),
        ("DATABASE_URL=a?tr0ub4dor&b", " DATABASE_URL"),
        ("STACK_DIR=~/tr0ub4dor", " STACK_DIR"),
        ("tr0ub4dor", ""),
        ("tr0ub4dor==", ""),
    ],
)
def test_line_that_readers_would_take_differently_is_refused_and_its_value_not_shown(
    line: str, name: str
) -> None:
    with pytest.raises(EnvFileError) as refused:
        settings_in(f"# first\n{line}\n")
    assert str(refused.value).startswith(f"line 2{name}: make, the shell and docker compose")
    assert "tr0ub4" not in str(refused.value)


def test_make_stops_with_the_line_that_is_refused(tmp_path: Path) -> None:
    done = make(tmp_path, "S3_BUCKET=mine # tr0ub4dor\n")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b".env: line 1 S3_BUCKET: make, the shell and docker compose")
    assert b"tr0ub4dor" not in done.stderr


def test_example_is_a_file_that_all_read_alike() -> None:
    assert settings_in((PROJECT / ".env.example").read_text())["S3_BUCKET"] == "cryptopricesrt"
