"""Settings of the shared Spark session that one test changes."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession


@contextmanager
def spark_settings(spark: SparkSession, changed: dict[str, str]) -> Iterator[None]:
    """Change settings of the session, and restore their former values afterwards."""
    former = {name: str(spark.conf.get(name)) for name in changed}
    for name, value in changed.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in former.items():
            spark.conf.set(name, value)
