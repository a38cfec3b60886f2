"""Set up versions of the project to compare: this one, and any other of its git history."""

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from infra import paths

MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""Variables that `make` sets for its children. They are for this version's Makefile only."""


class Version(NamedTuple):
    """A folder with the project's files, and an environment created by `make setup`."""

    name: str
    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / ".venv" / "bin"

    def environment(self) -> dict[str, str]:
        """Return variables for spark-submit and Python to use this version's libraries and settings."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYSPARK_PYTHON": str(self.bin / "python"),
            "SPARK_CONF_DIR": str(self.folder / ".tools" / "spark-conf"),
            # Empty, because the stack's value has the class path of the project that runs the benchmark.
            "SPARK_SUBMIT_OPTS": "",
        }


THIS = Version("this version", paths.PROJECT)


def version_of(revision: str) -> Version:
    """Set up a git revision, with its requirements.lock installed, and keep it for later runs."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    folder = paths.TOOLS / "versions" / commit
    ready = folder / ".tools" / ".ready"
    if not ready.exists():
        with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", commit))) as files:
            files.extractall(folder, filter="data")
        tools = folder / ".tools"
        # MinIO takes minutes to build, and is the same in all versions.
        (tools / "bin").mkdir(parents=True, exist_ok=True)
        (tools / "bin" / "minio").unlink(missing_ok=True)
        (tools / "bin" / "minio").symlink_to(paths.TOOLS / "bin" / "minio")
        environment = {
            name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES
        }
        subprocess.run(["make", "setup"], cwd=folder, env=environment, check=True)
        ready.touch()
    return Version(revision, folder)


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", *arguments], cwd=paths.PROJECT, check=True, stdout=subprocess.PIPE
    ).stdout
