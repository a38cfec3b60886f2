"""Test where reading begins, that a missing right is named, and that an election is waited for."""

from collections.abc import Iterator
from functools import partial

import pytest
from confluent_kafka import KafkaError, KafkaException

from core.settings import Settings
from core.topics import FEED_EVENTS
from spark_jobs.kafka_source import partitions
from spark_jobs.kafka_source.partitions import (
    OffsetError,
    RightError,
    raise_if_unauthorized,
    retry_during_election,
    starting_offset,
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


def test_a_next_offset_that_kafka_does_not_hold_is_refused_with_those_it_holds() -> None:
    assert starting_offset("t", 0, None, 5, 9) == 5
    assert starting_offset("t", 0, 9, 5, 9) == 9
    with pytest.raises(OffsetError, match="t/0 ends at offset 9, but the next to read is 10"):
        starting_offset("t", 0, 10, 5, 9)
    with pytest.raises(
        OffsetError, match="t/0 begins at offset 5, but the next to read is 4: 1 messages"
    ):
        starting_offset("t", 0, 4, 5, 9)


def test_after_kafka_lost_messages_of_a_small_topic_the_error_has_the_offset_to_set() -> None:
    with pytest.raises(
        OffsetError, match="To continue: set its next_offset in kafka_progress to 9"
    ):
        starting_offset(FEED_EVENTS, 0, 10, 5, 9)
