"""Commands that run the Spark jobs as child processes, on a JVM that starts quickly."""

import shlex
from pathlib import Path

from infra import paths

# A short-lived JVM spends most of its time in the optimising compiler, in bytecode verification, and on
# starting garbage collector threads. These options replace those of infra/spark, which has the reason for the
# code cache's size.
QUICK_START = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
JAVA = f"{QUICK_START} -Duser.timezone=UTC"
SPARK_SUBMIT = paths.VENV_BIN / "spark-submit"
QUICK = (f"--driver-java-options={JAVA}", "--conf=spark.ui.enabled=false")


def spark_submit(program: str) -> list[str | Path]:
    """Return the command that runs a program, whose path is relative to the project's folder."""
    return [SPARK_SUBMIT, *QUICK, program]


def supervised(program: str) -> list[str | Path]:
    """Return the command as in supervisord.conf: only the job's Python process obeys SIGTERM."""
    command = shlex.join(map(str, spark_submit(program)))
    return ["/bin/sh", "-c", f"trap '' TERM; exec {command}"]
