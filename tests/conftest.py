"""The test stack's settings, and one Spark session for all tests."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from pyspark.sql import SparkSession

from core.settings import Settings
from infra.stack import Stack, stack_on_free_ports

# Two cores may be busy with a whole stack: no deadline for a single example.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

STACK = stack_on_free_ports("tests/services")

# Before the JVM starts: s3a finds its endpoint, and every child process the test stack, here.
os.environ |= STACK.environment()
time.tzset()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session with the jars and settings that the jobs run with, but one shuffle partition."""
    warehouse: Path = tmp_path_factory.mktemp("warehouse")
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        "--driver-java-options '-XX:TieredStopAtLevel=1 -Duser.timezone=UTC' pyspark-shell"
    )
    session = (
        SparkSession.builder.appName("tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.warehouse.dir", str(warehouse))
        .getOrCreate()
    )
    yield session
    session.stop()


def settings_on(stack: Stack, database: str) -> Settings:
    """The stack's settings with another database."""
    settings = stack.settings
    return replace(
        settings,
        database_url=settings.database_url.rsplit("/", 1)[0] + f"/{database}",
        reader_database_url=settings.reader_database_url.rsplit("/", 1)[0] + f"/{database}",
    )
