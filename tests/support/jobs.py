"""The Spark jobs as child processes, with a JVM that is quick to start."""

import shlex
from pathlib import Path

from infra import paths

# A JVM that runs for seconds spends them on its optimising compiler, on verifying the bytecode that it
# loads, and on starting the threads of its garbage collector. These options replace those of infra/spark.
JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote -Duser.timezone=UTC"
)
SPARK_SUBMIT = paths.VENV_BIN / "spark-submit"
QUICK = (f"--driver-java-options={JAVA}", "--conf=spark.ui.enabled=false")


def spark_submit(program: str) -> list[str | Path]:
    """The command that runs a program, whose path is relative to the project's folder."""
    return [SPARK_SUBMIT, *QUICK, program]


def supervised(program: str) -> list[str | Path]:
    """The same as in supervisord.conf: of the job's processes only Python obeys SIGTERM."""
    command = shlex.join(map(str, spark_submit(program)))
    return ["/bin/sh", "-c", f"trap '' TERM; exec {command}"]
