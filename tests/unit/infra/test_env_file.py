"""Test that make, a shell and docker compose read .env alike, or that the faulty line is named."""

import itertools
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
"""
EXPECTED = {
    "S3_BUCKET": "mine",
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
    return dict(zip(EXPECTED, values_of(output, [*EXPECTED]), strict=True))


def values_of(output: bytes, names: list[str]) -> list[str]:
    """Return the value of each name in the output of `env -0`, empty if it is not set."""
    pairs = dict(each.split(b"=", 1) for each in output.split(b"\0") if each)
    return [pairs.get(name.encode(), b"").decode() for name in names]


def sourced(folder: Path) -> bytes:
    """Return the environment of a shell that has read the folder's .env."""
    return subprocess.run(
        ["sh", "-c", "set -a; . ./.env; env -0"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/me"},
        capture_output=True,
        check=True,
    ).stdout


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
    assert settings_of(sourced(tmp_path)) == EXPECTED


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
        ("UID=tr0ub4dor", " UID"),
        ("MAKEFLAGS=tr0ub4dor", " MAKEFLAGS"),
        ("S3_BUCKET=tr0ub4dor\0", " S3_BUCKET"),
        ("S3_BUCKET=tr0ub4dor\x01", " S3_BUCKET"),
        ("S3_BUCKET=tr0ub4dor\x85", " S3_BUCKET"),
        ("S3_BUCKET+=tr0ub4dor", ""),
        ("s3_bucket=tr0ub4dor", ""),
        ("\ufeffS3_BUCKET=tr0ub4dor", ""),
        ("\ufeff# tr0ub4dor", ""),
        ("# tr0ub4dor\r", ""),
        ("\r", ""),
        ("\u00a0", ""),
        ("tr0ub4dor", ""),
        ("tr0ub4dor==", ""),
    ],
)
def test_line_that_readers_would_take_differently_is_refused_and_its_value_not_shown(
    line: str, name: str
) -> None:
    with pytest.raises(EnvFileError) as refused:
        settings_in(f"# first\n{line}\n")
    assert re.match(
        f"line 2{name}: (make, the shell and docker|shells or make)", str(refused.value)
    )
    assert "tr0ub4" not in str(refused.value)


def test_make_stops_with_the_line_that_is_refused(tmp_path: Path) -> None:
    done = make(tmp_path, "S3_BUCKET=mine # tr0ub4dor\n")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b".env: line 1 S3_BUCKET: make, the shell and docker compose")
    assert b"tr0ub4dor" not in done.stderr


def compose_value(text: str) -> str:
    """Return the value that docker compose reads after NAME=, for values of one line.

    Source: docs.docker.com/compose/how-tos/environment-variables/variable-interpolation, "Env-file
    syntax". Text in single quotes is literal except for \\'. In text without quotes, ` #` begins a
    comment, surrounding spaces are removed, and $ begins a variable.
    """
    if text.startswith("'"):
        closing = re.fullmatch(r"'((?:\\'|[^'])*)'\s*(?:#.*)?", text)
        assert closing, text
        return closing[1].replace("\\'", "'")
    assert not text.startswith('"') and "$" not in text, text
    return re.sub(r"\s+#.*", "", text).strip()


SPECIAL = "$#'\"\\`;&|<>()~{}[]*?!%^=,:@+- \t\r\v\f\0\x01\x7f\x81\x85\xa0\u2028\ufeffé€😀aZ0"
TEXTS = st.one_of(st.text(SPECIAL, max_size=3), st.text(SPECIAL, max_size=20))
VALUES = st.one_of(TEXTS, TEXTS.map("'{}'".format), TEXTS.map('"{}"'.format))


def accepted(values: list[str]) -> dict[str, str]:
    """Return a line for each value that is accepted, by its name."""
    lines = {f"N{number}": f"N{number}={value}" for number, value in enumerate(values)}
    found = {}
    for name, line in lines.items():
        try:
            settings_in(line)
        except EnvFileError:
            continue
        found[name] = line
    return found


def assert_read_alike(values: list[str]) -> None:
    """Assert that a shell and docker compose read each accepted value as settings_in does."""
    lines = accepted(values)
    text = "\n".join(lines.values())
    expected = [*settings_in(text).values()]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, ".env").write_bytes(text.encode())
        assert values_of(sourced(Path(folder)), [*lines]) == expected
    assert [compose_value(line.partition("=")[2]) for line in lines.values()] == expected


def test_each_pair_of_special_characters_is_the_same_in_a_shell_and_in_docker_compose() -> None:
    pairs = ["".join(pair) for pair in itertools.product(SPECIAL, repeat=2)]
    bare = [*SPECIAL, *pairs]
    assert_read_alike([*bare, *map("'{}'".format, bare), *map('"{}"'.format, bare)])


@given(st.lists(VALUES, min_size=1, max_size=40))
def test_each_value_that_is_accepted_is_the_same_in_a_shell_and_in_docker_compose(
    values: list[str],
) -> None:
    assert_read_alike(values)


@settings(max_examples=10)
@given(st.lists(VALUES, min_size=1, max_size=40))
def test_each_value_that_is_accepted_is_the_same_in_make(values: list[str]) -> None:
    lines = accepted(values)
    text = "\n".join(lines.values())
    with tempfile.TemporaryDirectory() as folder:
        done = make(Path(folder), text)
        assert values_of(done.stdout, [*lines]) == [*settings_in(text).values()]


def test_reader_for_make_prints_a_character_that_the_locale_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("STACK_DIR=/srv/börse€\n", encoding="utf-8")
    done = subprocess.run(
        ["python3", str(PROJECT / "infra" / "env_file.py"), ".env"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "READ STACK_DIR=/srv/börse€\n"


def test_of_a_name_that_occurs_twice_the_last_line_counts(tmp_path: Path) -> None:
    done = make(tmp_path, "S3_BUCKET=mine\nS3_BUCKET=yours\n")
    assert settings_of(done.stdout)["S3_BUCKET"] == "yours"
    assert settings_of(sourced(tmp_path))["S3_BUCKET"] == "yours"


def test_example_is_a_file_that_all_read_alike() -> None:
    assert settings_in((PROJECT / ".env.example").read_text())["S3_BUCKET"] == "cryptopricesrt"
