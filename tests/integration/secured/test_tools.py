"""Run the commands of the Makefile on a secured stack."""

import os
import re
import subprocess
import sys
from pathlib import Path

from infra.stack import Stack
from tests.support.process import run
from tests.support.stacks import QUICK_JAVA
from tests.support.waiting import wait_for

AUDIT_DEADLINE = 900.0
"""Seconds. On a busy machine, Spark alone takes minutes."""


def test_status_names_the_secured_stack_and_shows_no_password(secured: Stack) -> None:
    done = run([sys.executable, "-m", "infra", "status"], secured.environment())
    assert f"demo-secured stack in {secured.folder}" in done.stdout
    assert f"passwords in {secured.folder}/secrets" in done.stdout
    for path in (secured.folder / "secrets").iterdir():
        assert path.read_text() not in done.stdout


def test_audit_agrees_in_the_environment_that_make_env_prints(
    serving: Stack, tmp_path: Path
) -> None:
    exports = run([sys.executable, "-m", "infra", "env"], serving.environment()).stdout
    script = tmp_path / "audit.sh"
    script.write_text(f"{exports}\nexec spark-submit spark_jobs/audit.py\n")
    script.chmod(0o700)
    done = run(["sh", str(script)], QUICK_JAVA, deadline=AUDIT_DEADLINE)
    # Lines of the other tables and of the bucket follow. With a difference in any, the exit status is 1.
    assert re.match(r"live_prices: [1-9]\d* rows, 0 differ\n", done.stdout), done.stdout


def test_the_doctor_finds_nothing_wrong(serving: Stack) -> None:
    def examined() -> str:
        command = [sys.executable, "-m", "infra.doctor"]
        environment = os.environ | serving.environment()
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True).stdout

    # The lake's first batches may not be written yet.
    wait_for(examined, lambda printed: printed.endswith("findings: 0\n"), deadline=300)
