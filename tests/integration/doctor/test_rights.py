"""Ask a Kafka with access rights what this user may do: each right that is missing is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.doctor.target import Target
from infra.doctor.topics import connection, rights, topics
from infra.services import kafka
from tests.support.secure_kafka import SecureKafka, secure_kafka

ALL = [topic.topic for topic in kafka.TOPICS]
FIRST, SECOND = ALL[:2]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    folder: Path = tmp_path_factory.mktemp("secure-kafka")
    with secure_kafka(folder) as broker:
        yield broker


def test_missing_rights_are_found_by_user_operation_and_topic(broker: SecureKafka) -> None:
    user = broker.settings
    assert [*rights(broker.owner)] == []
    needed = [(right, topic) for right in ("Read", "Write", "Describe_Configs") for topic in ALL]
    with broker.granted(*needed):
        assert [*connection(Target(user)), *topics(user), *rights(user)] == []
        broker.revoke("Write", FIRST)
        broker.revoke("Describe_Configs", SECOND)
        (write,), (describe,) = rights(user), topics(user)
        assert write.problem == f"user prices needs Write on topic {FIRST}"
        assert describe.problem.endswith(f"user prices needs DescribeConfigs on topic {SECOND}")


def test_wrong_password_is_found_and_not_shown(broker: SecureKafka) -> None:
    (found,) = connection(Target(broker.login("SCRAM-SHA-512", "tr0ub4dor")))
    assert found.problem.startswith("Kafka refuses the connection: ")
    assert "tr0ub4dor" not in "".join(found)
