"""Measure the sizes of the bucket's prefixes in the real object store."""

import time

import pytest
from pyspark.sql import SparkSession

from core.settings import Settings
from infra.services import object_store
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.sizes import LakeSizes
from spark_jobs.run.metrics import JobMetrics


@pytest.fixture
def prefix(settings: Settings) -> str:
    """A prefix with three objects, 6,000 bytes in total, at three depths."""
    store = object_store.client(settings)
    name = f"sizes-{time.time_ns()}"
    for number, key in enumerate(("a", "b/c", "b/d/e"), start=1):
        store.put_object(Bucket=settings.s3_bucket, Key=f"{name}/{key}", Body=bytes(1000 * number))
    return name


def measured(metrics: JobMetrics, prefix: str) -> tuple[float | None, float | None]:
    """Return the prefix's bytes and number of objects."""
    read = metrics.registry.get_sample_value
    labels = {"prefix": prefix}
    return read("job_prefix_bytes", labels), read("job_prefix_objects", labels)


def test_a_prefix_is_as_large_as_all_objects_below_it(
    spark: SparkSession, settings: Settings, prefix: str
) -> None:
    metrics = JobMetrics()
    LakeSizes(
        HadoopFiles(spark, lake_root(settings)),
        lake_root(settings),
        [prefix, f"{prefix}/b", "nothing"],
        metrics,
    ).report()
    assert measured(metrics, prefix) == (6000, 3)
    assert measured(metrics, f"{prefix}/b") == (5000, 2)
    assert measured(metrics, "nothing") == (0, 0)


def test_a_bucket_that_does_not_exist_is_logged(
    spark: SparkSession, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    LakeSizes(
        HadoopFiles(spark, "s3a://no-such-bucket"), "s3a://no-such-bucket", ["raw"], JobMetrics()
    ).report()
    assert "size unavailable folder=s3a://no-such-bucket/raw" in caplog.text
