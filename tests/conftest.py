"""Set up the test stack's settings and the Spark session, and assign tests to workers.

Each worker of pytest-xdist is a process, with a separate stack and a separate Spark session.
"""

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from pyspark.sql import SparkSession

from infra.stack import stack_on_free_ports
from tests.support.jobs import JAVA

# No deadline per example: a whole stack may keep both cores busy.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# Modules and tests are about a million permanent objects. Scanning them repeatedly would take a third of
# the time of short tests.
gc.disable()

STACK = stack_on_free_ports("tests/services")

# Set before the JVM starts: s3a and all child processes read the stack's addresses from the environment.
os.environ |= STACK.environment()
time.tzset()


SPARK = "spark"
LAKE = "spark lake"
LAKE_MODULES = (
    *("test_archive", "test_archive_topic_ids", "test_audit", "test_audit_lake", "test_history"),
    "test_readers",
)
"""Half of the time of all tests with a Spark session. They run on another worker and session."""

TESTS = Path(__file__).parent
UNIT = TESTS / "unit"

LONGEST_FIRST = (
    *("integration/test_demo", "integration/test_lake_faults", SPARK, LAKE),
    "integration/test_live_prices_process",
)
"""Groups of tests that take a minute or more. They start first, so that none runs alone at the end."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark unit tests, and keep the tests of a module on one worker, as they share fixtures.

    Tests with the Spark session are two groups, so only two workers start a session. They are not marked as
    unit tests, because it takes seconds to start. Tests that are marked as independent are distributed one
    by one.
    """
    for item in items:
        group = group_of(item)
        is_unit = item.path.is_relative_to(UNIT) and not has_session(item)
        if is_unit and not is_long(item):
            item.add_marker(pytest.mark.unit)
        if not item.get_closest_marker("independent"):
            item.add_marker(pytest.mark.xdist_group(group))
    # Sort by file name, ignoring folders: this mixes tests that wait with tests that compute.
    order = {group: number for number, group in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: (order.get(group_of(item), len(order)), item.path.name))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    # At exit, some libraries report objects that were not collected.
    gc.unfreeze()


def is_long(item: pytest.Item) -> bool:
    """Return whether a test takes seconds, as property tests do with their many examples."""
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return is_property or item.get_closest_marker("long") is not None


def has_session(item: pytest.Item) -> bool:
    return "spark" in getattr(item, "fixturenames", ())


def group_of(item: pytest.Item) -> str:
    if has_session(item):
        return LAKE if item.path.stem in LAKE_MODULES else SPARK
    return str(item.path.relative_to(TESTS).with_suffix(""))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Yield a local session with the jars and settings of the jobs, but fewer tasks."""
    warehouse: Path = tmp_path_factory.mktemp("warehouse")
    builder = (
        SparkSession.builder.appName("tests")
        .config("spark.master", "local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.databricks.delta.snapshotPartitions", "1")
        # Without this, the optimizer would evaluate plans on literal tables instead of the jobs' code.
        .config(
            "spark.sql.optimizer.excludedRules",
            "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
        )
        # Interpret expressions: for small tables, compiling them takes a quarter of all CPU time. Jobs that
        # tests start as programs compile them, as in production.
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
        .config("spark.sql.warehouse.dir", str(warehouse))
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_SUBMIT_ARGS", f"--driver-java-options '{JAVA}' pyspark-shell")
        environment.setenv("SPARK_LOCAL_DIRS", str(tmp_path_factory.mktemp("spark")))
        session = builder.getOrCreate()
    yield session
    session.stop()
