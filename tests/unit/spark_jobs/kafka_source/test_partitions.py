"""A missing right is named with user and topic; during an election, a partition is asked again."""

from collections.abc import Iterator
from functools import partial

import pytest
from confluent_kafka import KafkaError, KafkaException

from core.settings import Settings
from spark_jobs.kafka_source import partitions
from spark_jobs.kafka_source.partitions import (
    RightError,
    raise_if_unauthorized,
    retry_during_election,
)

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
        raise_if_unauthorized(error, Settings())
    assert str(explained.value) == f"Kafka: user ANONYMOUS needs Read on {resource}"


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE]
)
def test_a_partition_is_asked_again_while_its_leader_is_elected(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "ELECTION_PAUSE", 0.0)
    answers: Iterator[KafkaException | tuple[int, int]] = iter(
        [KafkaException(KafkaError(code)), KafkaException(KafkaError(code)), (3, 7)]
    )

    def ask() -> tuple[int, int]:
        answer = next(answers)
        if isinstance(answer, KafkaException):
            raise answer
        return answer

    assert retry_during_election(ask) == (3, 7)


def test_a_partition_is_not_asked_again_after_another_error_or_the_timeout() -> None:
    asked: list[int] = []

    def refuse(code: int) -> None:
        asked.append(code)
        raise KafkaException(KafkaError(code))

    with pytest.raises(KafkaException):
        retry_during_election(partial(refuse, KafkaError.UNKNOWN_TOPIC_OR_PART))
    with pytest.raises(KafkaException):
        retry_during_election(partial(refuse, KafkaError.NOT_LEADER_FOR_PARTITION), timeout=-1.0)
    assert asked == [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.NOT_LEADER_FOR_PARTITION]


def test_other_failures_are_left_as_they_are() -> None:
    raise_if_unauthorized(
        RuntimeError("Connection to node -1 could not be established"), Settings()
    )
