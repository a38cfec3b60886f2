"""Report each missing prerequisite and what to install.

    python3 infra/prerequisites.py

Exits 1 with one line per missing prerequisite. Runs on the system's Python before the venv exists.
Annotations are strings, because it must run on any Python 3.
"""

import os
import re
import shutil
import subprocess
import sys

MINIMUM_PYTHON = (3, 11)
JAVA_VERSIONS = (17, 21)
MINIMUM_GO = (1, 24)

# Java may print "Picked up JAVA_TOOL_OPTIONS: ..." before its version.
JAVA_PATTERN = r'version "(\d+)(?:\.(\d+))?'
GO_PATTERN = r"go version go(\d+)\.(\d+)"


def first_version(command: "list[str]", pattern: str) -> "tuple[int, int] | None":
    """Return the major and minor version that the command prints, None if it fails or prints none."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(pattern, done.stdout.decode(errors="replace"))
    if done.returncode != 0 or not found:
        return None
    return int(found.group(1)), int(found.group(2) or 0)


def missing_python() -> "str | None":
    if sys.version_info < MINIMUM_PYTHON:
        found = sys.version.split()[0]
        return "Python 3.11 or newer: this is " + found + ". Install one; make PYTHON=/path/to/it"
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return "Python's venv module. On Debian and Ubuntu: apt-get install python3-venv"
    return None


def missing_java() -> "str | None":
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else "java"
    version = first_version([java, "-version"], JAVA_PATTERN)
    if version is None:
        found = "none was found"
    elif version[0] in JAVA_VERSIONS:
        return None
    else:
        # Java 8 prints 1.8.
        found = java + " is version " + str(version[1] if version[0] == 1 else version[0])
    return "Java 17 or 21: " + found + ". On Debian: apt-get install openjdk-17-jre-headless"


def missing_minio() -> "str | None":
    if shutil.which("minio") or os.path.exists(os.path.join(".tools", "bin", "minio")):
        return None
    version = first_version(["go", "version"], GO_PATTERN)
    if version is not None and version >= MINIMUM_GO:
        return None
    found = "no go was found" if version is None else "go is version " + ".".join(map(str, version))
    return "a minio binary on PATH, or Go 1.24 or newer to build it: " + found


def main() -> int:
    missing = [m for m in (missing_python(), missing_java(), missing_minio()) if m]
    for prerequisite in missing:
        sys.stderr.write("missing: " + prerequisite + "\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
