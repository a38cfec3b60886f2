"""Create Postgres's cluster after an earlier attempt was killed, and under a restrictive umask."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.paths import PROJECT
from infra.services import postgres
from infra.stack import Stack
from tests.support.process import run
from tests.support.stacks import own_stack
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
    # PG_VERSION is the first file that initdb writes.
    wait_for(lambda: [*folder.glob("data*/PG_VERSION")], pause=0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_cluster_that_a_killed_command_left_is_made_again() -> None:
    with own_stack("cluster") as stack:
        stack.folder.mkdir(parents=True)
        folder = stack.folder / "postgres"
        kill_while_initdb_runs(stack)
        assert not (folder / "data" / "postgresql.conf").exists()
        # Only root runs a copy of Postgres's files. A killed command may have left that incomplete too.
        shutil.rmtree(folder / "distribution", ignore_errors=True)
        (folder / "distribution.incomplete").mkdir()
        postgres.prepare(stack)
        assert names(folder) >= {"data"}
        assert names(folder).isdisjoint({"data.incomplete", "password"})
        is_copied = os.geteuid() == 0
        assert ("distribution" in names(folder)) == is_copied
        assert ("distribution.incomplete" in names(folder)) != is_copied
        assert "include 'stack.conf'" in (folder / "data" / "postgresql.conf").read_text()


UNDER_UMASK = """
import os
os.umask(0o077)
from core.settings import STACK, Settings
from infra.services import postgres
from infra.stack import stack_of
from infra.up import create_folder
stack = stack_of("demo", Settings.from_environment(STACK))
create_folder(stack)
postgres.prepare(stack)
"""


def test_cluster_is_made_though_the_umask_hides_new_folders_from_others() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        Path(base).chmod(0o755)
        run([sys.executable, "-c", UNDER_UMASK], {"STACK_DIR": f"{base}/stacks"})
        folder = Path(base, "stacks", "demo", "postgres")
        assert (folder / "data" / "PG_VERSION").read_text() == "18\n"
        assert (folder / "data").stat().st_mode & 0o777 == 0o700


def test_files_that_the_owner_may_read_and_execute_are_opened_to_others(tmp_path: Path) -> None:
    folder, program, library = (tmp_path / each for each in ("folder", "folder/a", "folder/b"))
    folder.mkdir()
    for file, mode in ((program, 0o700), (library, 0o600)):
        file.touch()
        file.chmod(mode)
    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    (folder / "link").symlink_to(outside)
    folder.chmod(0o700)
    postgres.open_to_others(folder)
    modes = [each.stat().st_mode & 0o777 for each in (folder, program, library)]
    assert modes == [0o705, 0o705, 0o604]
    assert outside.stat().st_mode & 0o777 == 0o600


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}
