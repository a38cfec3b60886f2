"""Pack all that executors need besides Spark and Python into one archive: make executor-packages.

spark-submit ships it to the executors (docs/scaling.md), so workers need no installation. The versions
are those of requirements.lock.
"""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.paths import EXECUTOR_PACKAGES, PROJECT

LOCK = PROJECT / "requirements.lock"
PACKAGES = ("orjson", "polars", "polars-runtime-32", "pyarrow")
OWN = ("core", "exchanges", "spark_jobs")


def locked(lock: str, names: tuple[str, ...]) -> str:
    """Return the lines of a lock file that pin these packages, with their hashes.

    Raise ValueError if the lock file lacks a package.
    """
    pins = {
        pin.group(1): pin.group(0)
        for pin in re.finditer(r"^([a-z0-9-]+)==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    }
    if missing := [name for name in names if name not in pins]:
        raise ValueError(f"the lock file does not name {', '.join(missing)}")
    return "".join(pins[name] for name in names)


def install(folder: Path) -> None:
    with TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.lock"
        requirements.write_text(locked(LOCK.read_text(), PACKAGES))
        pip = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps"]
        subprocess.run([*pip, "--target", folder, "--requirement", requirements], check=True)
    for name in OWN:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def main() -> None:
    with TemporaryDirectory() as folder:
        install(Path(folder))
        with tarfile.open(EXECUTOR_PACKAGES, "w:gz", compresslevel=1) as packed:
            packed.add(folder, arcname=".")


if __name__ == "__main__":
    main()
