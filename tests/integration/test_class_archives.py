"""Check that JVMs load classes from the archives that make setup writes, not from jars."""

import re
import shlex
from pathlib import Path

from infra import paths
from infra.class_archives import archive, kafka_options, spark_options
from infra.services import kafka
from tests.support.process import run

LOADED = re.compile(r"(\S+) source: shared objects file \(top\)$", re.MULTILINE)


def loaded_from_archive(log: Path) -> set[str]:
    """Return the names of the classes that the JVM has loaded from the archive of make setup."""
    return set(LOADED.findall(log.read_text()))


def test_a_broker_loads_its_classes_from_its_archive(tmp_path: Path) -> None:
    log = tmp_path / "classes"
    options = [*shlex.split(kafka_options("read")), f"-Xlog:class+load:file={log}"]
    # Without a configuration it prints its usage and ends.
    run(["java", *options, "-cp", kafka.CLASSPATH, "kafka.Kafka"], status=1)
    assert "kafka.Kafka$" in loaded_from_archive(log)


def test_spark_submit_loads_its_classes_from_its_archive(tmp_path: Path) -> None:
    log = tmp_path / "classes"
    options = f"{spark_options('read')} -Xlog:class+load:file={shlex.quote(str(log))}"
    run([paths.VENV_BIN / "spark-submit", "--version"], {"SPARK_SUBMIT_OPTS": options})
    assert "org.apache.spark.deploy.SparkSubmit$" in loaded_from_archive(log)


def test_a_jvm_without_an_archive_starts_and_says_nothing(tmp_path: Path) -> None:
    missing = spark_options("read").replace(str(archive("spark")), str(tmp_path / "missing.jsa"))
    done, usual = (
        run([paths.VENV_BIN / "spark-submit", "--version"], {"SPARK_SUBMIT_OPTS": options})
        for options in (missing, "")
    )
    assert (done.stdout, done.stderr) == (usual.stdout, usual.stderr)
