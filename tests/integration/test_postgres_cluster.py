"""Create Postgres's cluster although the command was killed while it did so before."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from infra.paths import PROJECT
from infra.services import postgres
from infra.stack import Stack, delete, stack_on_free_ports
from tests.support.waiting import wait_for

PREPARE = """
from core.settings import STACK, Settings
from infra.services import postgres
from infra.stack import stack_of
postgres.prepare(stack_of("demo", Settings.from_environment(STACK)))
"""


def kill_while_initdb_runs(stack: Stack) -> None:
    folder = stack.folder / "postgres"
    process = subprocess.Popen(
        [sys.executable, "-c", PREPARE],
        cwd=PROJECT,
        env=os.environ | stack.environment(),
        start_new_session=True,
    )
    # It is the first file that initdb writes.
    wait_for(lambda: [*folder.glob("data*/PG_VERSION")], pause=0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_cluster_that_a_killed_command_left_is_made_again() -> None:
    stack = stack_on_free_ports("tests/cluster")
    stack.folder.mkdir(parents=True)
    folder = stack.folder / "postgres"
    try:
        kill_while_initdb_runs(stack)
        assert not (folder / "data" / "postgresql.conf").exists()
        # Only root's Postgres is a copy. Of that, a killed command may have left a part, too.
        shutil.rmtree(folder / "distribution", ignore_errors=True)
        (folder / "distribution.incomplete").mkdir()
        postgres.prepare(stack)
        assert names(folder) >= {"data"}
        assert names(folder).isdisjoint({"data.incomplete", "password"})
        is_copied = os.geteuid() == 0
        assert ("distribution" in names(folder)) == is_copied
        assert ("distribution.incomplete" in names(folder)) != is_copied
        assert "include 'stack.conf'" in (folder / "data" / "postgresql.conf").read_text()
    finally:
        delete(stack)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}
