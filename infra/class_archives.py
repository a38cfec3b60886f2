"""Archives of the classes that Kafka and the Spark jobs load, with which their JVMs start in half the time.

At each start a JVM reads and verifies thousands of classes from jars. HotSpot can map them from a file
instead (JEP 350, dynamic archives). It ignores a file that is missing, or that was made by another Java or
from other jars. `infra/record_classes.py` makes the files.
"""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from infra import paths

Mode = Literal["read", "write"]
"""An archive is read at the start of a JVM, and written at its end."""

OPTION = {"read": "SharedArchiveFile", "write": "ArchiveClassesAtExit"}

# A JVM that ignores an archive would say so on its standard output.
SILENT = ("-Xlog:cds=off", "-Xlog:cds+dynamic=off")


def archive(program: str) -> Path:
    """Return the path of the archive of "kafka" or "spark"."""
    return paths.TOOLS / "class-archives" / f"{program}.jsa"


def kafka_options(mode: Mode) -> str:
    """Return the JVM's options for a broker, quoted for a shell."""
    return shlex.join(_options("kafka", mode))


def spark_options(mode: Mode) -> str:
    """Return a value of SPARK_SUBMIT_OPTS, the JVM's options of spark-submit, quoted for a shell.

    They replace the class path of spark-submit, which begins with the folder of settings: an archive
    has only classes of jars that precede all folders. The jars of `spark.jars` are on the new path too:
    Spark would load them with a class loader of its own, whose classes are not archived.
    """
    pyspark = find_spec("pyspark")
    if pyspark is None or pyspark.origin is None:
        raise FileNotFoundError("the package pyspark is not installed: run make setup")
    jars = Path(pyspark.origin).parent / "jars"
    class_path = f"{jars}/*:{paths.SPARK_JARS}/*:{paths.SPARK_CONF}/"
    return shlex.join([*_options("spark", mode), "-cp", class_path])


def _options(program: str, mode: Mode) -> list[str]:
    return [f"-XX:{OPTION[mode]}={archive(program)}", *SILENT]
