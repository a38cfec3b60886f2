"""The test stack's settings, one Spark session for all tests, and the worker that each test runs on.

Each worker of pytest-xdist is a process of its own, so it has a stack and a Spark session of its own.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from pyspark.sql import SparkSession

from infra.stack import stack_on_free_ports
from tests.support.jobs import JAVA

# Two cores may be busy with a whole stack: no deadline for a single example.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

STACK = stack_on_free_ports("tests/services")

# Before the JVM starts: s3a finds its endpoint, and every child process the test stack, here.
os.environ |= STACK.environment()
time.tzset()


SPARK = "spark"
TESTS = Path(__file__).parent
UNIT = TESTS / "unit"

LONGEST_FIRST = (
    *("integration/test_demo", "integration/test_lake_faults", SPARK),
    "integration/test_live_prices_process",
)
"""Groups of tests that take a minute or more: begun last, they would keep one worker busy alone."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit tests, and keep the tests of a module together: they share what its fixtures started.

    All tests with the Spark session are one group, so only one worker starts a session. They are not
    marked as unit tests, because it takes seconds to start. Tests that are marked as independent
    are distributed one by one.
    """
    for item in items:
        group = group_of(item)
        if group != SPARK and item.path.is_relative_to(UNIT):
            item.add_marker(pytest.mark.unit)
        if not item.get_closest_marker("independent"):
            item.add_marker(pytest.mark.xdist_group(group))
    # By file name, whatever the folder: then tests that mostly wait run beside tests that compute.
    order = {group: number for number, group in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: (order.get(group_of(item), len(order)), item.path.name))


def group_of(item: pytest.Item) -> str:
    has_session = "spark" in getattr(item, "fixturenames", ())
    return SPARK if has_session else str(item.path.relative_to(TESTS).with_suffix(""))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One local session with the jars and settings that the jobs run with, but fewer tasks."""
    warehouse: Path = tmp_path_factory.mktemp("warehouse")
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-java-options '{JAVA}' pyspark-shell"
    session = (
        SparkSession.builder.appName("tests")
        .config("spark.master", "local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        # A table of literals would be transformed by the optimizer, and not by the code of the jobs' plans.
        .config(
            "spark.sql.optimizer.excludedRules",
            "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
        )
        .config("spark.sql.warehouse.dir", str(warehouse))
        .getOrCreate()
    )
    yield session
    session.stop()
