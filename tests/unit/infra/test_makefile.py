"""Run the Makefile in folders and environments of users."""

import shutil
import subprocess
from pathlib import Path

import pytest

from infra.paths import PROJECT

PRINT = """#!/bin/sh
echo "$SSL_CERT_FILE"
"""


def test_path_with_a_blank_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "my prices"
    folder.mkdir()
    shutil.copy(PROJECT / "Makefile", folder)
    done = subprocess.run(["make", "help"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith(
        f"{folder}: the path of the project must not contain blanks.  Stop.\n"
    )


def certificates_of_compare_candles(
    folder: Path, exported: str, environment: dict[str, str]
) -> str:
    """Return SSL_CERT_FILE as the program of make compare-candles gets it.

    `exported` are the shell lines that the running stack prints.
    """
    (folder / "python").write_text(PRINT)
    (folder / "infra").write_text(f"#!/bin/sh\ncat <<'END'\n{exported}\nEND\n")
    for program in ("python", "infra"):
        (folder / program).chmod(0o755)
    # --old-file: as if set-up had been done.
    done = subprocess.run(
        [
            *("make", "--silent", f"--file={PROJECT / 'Makefile'}", "--old-file=setup"),
            *("INFRA=infra", "compare-candles"),
        ],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.removesuffix("\n")


PLAIN = "unset S3_CA_BUNDLE"
SECURED = "export S3_CA_BUNDLE=/stack/authority.crt SSL_CERT_FILE=/stack/authority.crt"


@pytest.mark.parametrize(
    ("exported", "own", "passed"),
    [
        (PLAIN, "", ""),
        (PLAIN, "/etc/company.pem", "/etc/company.pem"),
        (SECURED, "", ""),
        (SECURED, "/etc/company.pem", "/etc/company.pem"),
        # A shell that has evaluated the environment of the secured stack.
        (SECURED, "/stack/authority.crt", ""),
    ],
)
def test_exchanges_are_compared_with_the_authorities_of_the_user(
    tmp_path: Path, exported: str, own: str, passed: str
) -> None:
    environment = {"SSL_CERT_FILE": own} if own else {}
    assert certificates_of_compare_candles(tmp_path, exported, environment) == passed


def test_restore_of_a_secured_stack_is_refused() -> None:
    command = [
        "make",
        "--silent",
        "--old-file=setup",
        "INFRA=echo",
        "restore",
        "FROM=x",
        "SECURED=1",
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "make restore fills plain stacks only" in done.stderr
