"""Test the script as run by `make setup`, on a PATH with only the test's programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.paths import PROJECT

SCRIPT = PROJECT / "infra" / "prerequisites.py"

# Output as printed by the programs; Java prints to standard error.
JAVA = """echo 'openjdk version "{}" 2025-04-15' >&2; echo 'OpenJDK Runtime Environment' >&2"""
GO = "echo 'go version go{} linux/amd64'"

NO_JAVA = "missing: Java 17 or 21: {}. On Debian: apt-get install openjdk-17-jre-headless\n"
NO_MINIO = "missing: a minio binary on PATH, or Go 1.24 or newer to build it: {}\n"


def install(program: Path, script: str) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def check(folder: Path, programs: dict[str, str], **environment: str) -> tuple[int, str]:
    """Run the script in the folder without packages (-S). Return its exit status and standard error."""
    for name, script in programs.items():
        install(folder / "bin" / name, script)
    done = subprocess.run(
        [sys.executable, "-S", SCRIPT],
        cwd=folder,
        env={"PATH": str(folder / "bin"), **environment},
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "programs",
    [
        {"java": JAVA.format("17.0.15"), "go": GO.format("1.24.0")},
        {"java": JAVA.format("21"), "go": GO.format("2.0")},
        {"java": JAVA.format("21.0.2"), "minio": ""},
    ],
)
def test_nothing_is_said_when_nothing_is_missing(tmp_path: Path, programs: dict[str, str]) -> None:
    assert check(tmp_path, programs) == (0, "")


def test_minio_that_was_built_before_needs_no_go(tmp_path: Path) -> None:
    install(tmp_path / ".tools" / "bin" / "minio", "")
    assert check(tmp_path, {"java": JAVA.format("17.0.15")}) == (0, "")


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    expected = NO_JAVA.format("none was found") + NO_MINIO.format("no go was found")
    assert check(tmp_path, {}) == (1, expected)


@pytest.mark.parametrize("version", [11, 24])
def test_java_of_another_version_is_named(tmp_path: Path, version: int) -> None:
    programs = {"java": JAVA.format(f"{version}.0.2"), "minio": ""}
    assert check(tmp_path, programs) == (1, NO_JAVA.format(f"java is version {version}"))


def test_java_8_is_named(tmp_path: Path) -> None:
    programs = {"java": JAVA.format("1.8.0_392"), "minio": ""}
    assert check(tmp_path, programs) == (1, NO_JAVA.format("java is version 8"))


def test_java_that_fails_is_none(tmp_path: Path) -> None:
    programs = {"java": JAVA.format("17.0.15") + "; exit 1", "minio": ""}
    assert check(tmp_path, programs) == (1, NO_JAVA.format("none was found"))


def test_java_home_goes_before_path(tmp_path: Path) -> None:
    home = tmp_path / "jdk"
    install(home / "bin" / "java", JAVA.format("11.0.2"))
    programs = {"java": JAVA.format("17.0.15"), "minio": ""}
    expected = NO_JAVA.format(f"{home}/bin/java is version 11")
    assert check(tmp_path, programs, JAVA_HOME=str(home)) == (1, expected)


@pytest.mark.parametrize("version", ["1.20", "1.9"])
def test_go_that_is_too_old_is_named_when_there_is_no_minio(tmp_path: Path, version: str) -> None:
    programs = {"java": JAVA.format("17.0.15"), "go": GO.format(f"{version}.3")}
    assert check(tmp_path, programs) == (1, NO_MINIO.format(f"go is version {version}"))
