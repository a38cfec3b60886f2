"""A query's failure for want of a right is explained with user and topic."""

import pytest

from core.settings import Settings
from spark_jobs.kafka_source.partitions import RightError, raise_if_refused

JAVA_EXCEPTION = "org.apache.kafka.common.errors.TopicAuthorizationException: "


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        ("Not authorized to access topics: [binance_raw_data]", "topic binance_raw_data"),
        ("Topic authorization failed.", "the topics that the query reads"),
    ],
)
def test_missing_right_is_named(text: str, resource: str) -> None:
    error = RuntimeError(f"Query [id = 1] terminated with exception: {JAVA_EXCEPTION}{text}\n at …")
    with pytest.raises(RightError) as explained:
        raise_if_refused(error, Settings())
    assert str(explained.value) == f"Kafka: user ANONYMOUS needs Read on {resource}"


def test_other_failures_are_left_as_they_are() -> None:
    raise_if_refused(RuntimeError("Connection to node -1 could not be established"), Settings())
