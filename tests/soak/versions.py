"""Read the versions of the programs that a soak runs on."""

import re
import subprocess
from contextlib import closing

import psycopg2
import pyspark

from infra import paths
from infra.stack import Stack
from tests.support.postgres import rows


def versions(stack: Stack) -> dict[str, str]:
    """Return versions by program. Postgres must be up."""
    with closing(psycopg2.connect(stack.settings.database_url)) as database:
        ((postgres,),) = rows(database, "SHOW server_version")
    jar = next(paths.KAFKA_JARS.glob("kafka-clients-*.jar"))
    return {
        "this project": output("git", "describe", "--always", "--dirty", "--tags"),
        "Spark": pyspark.__version__,
        "Kafka": jar.stem.removeprefix("kafka-clients-"),
        "Postgres": postgres,
        "MinIO": minio(),
        "Java": output("java", "--version").splitlines()[0],
    }


def minio() -> str:
    """Return MinIO's version. A binary built from source has none, so use the one in the Makefile."""
    named = output(str(paths.TOOLS / "bin" / "minio"), "--version").splitlines()[0]
    pinned = re.search(
        r"^MINIO := .*@(\S+)$", (paths.PROJECT / "Makefile").read_text(), re.MULTILINE
    )
    return pinned[1] if pinned and "DEVELOPMENT" in named else named.removeprefix("minio version ")


def output(*command: str) -> str:
    return subprocess.run(
        command, cwd=paths.PROJECT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
