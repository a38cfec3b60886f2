"""Check prerequisites and versions: Python, Java, MinIO, and Spark's jars against the Python packages."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from infra import paths
from infra.doctor.finding import Finding
from infra.prerequisites import missing_java, missing_minio, missing_python

JARS = {"spark-sql-kafka-0-10": "pyspark", "delta-spark": "delta-spark"}
"""Name of the Python package whose version a jar must have."""


def prerequisites() -> Iterator[Finding]:
    for missing in (missing_python(), missing_java(), missing_minio()):
        if missing:
            yield Finding(f"missing: {missing}", "install it; then run make setup")


def jars(folder: Path = paths.SPARK_JARS) -> Iterator[Finding]:
    """Compare the versions in the names of the jars, such as delta-spark_4.2_2.13-4.4.0.jar."""
    for jar, package in JARS.items():
        named = re.compile(rf"{re.escape(jar)}_.*-(\d[\d.]*)\.jar")
        found = {match[1] for path in folder.glob("*.jar") if (match := named.fullmatch(path.name))}
        needed = version(package)
        if found != {needed}:
            shown = " and ".join(sorted(found)) or "missing"
            yield Finding(
                f"the jar {jar} is {shown}, but {package} {needed} is installed",
                "make setup fetches the jars that fit",
            )
