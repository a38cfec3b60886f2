"""Test that one file of properties configures both kinds of Kafka clients."""

from pathlib import Path

import pytest

from core.kafka_client import client_configuration, missing_right, spark_options
from core.settings import EXTRACTORS, SettingError, Settings

JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required"
    ' username="me" password="tr0ub4dor";'
)


@pytest.fixture
def secure(tmp_path: Path) -> Settings:
    path = tmp_path / "client.properties"
    path.write_text(
        f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={JAAS}\n"
        "request.timeout.ms=20000\n"
    )
    return Settings(kafka_bootstrap_servers="b.example:9092", kafka_client_properties=str(path))


def test_without_a_file_only_the_addresses_are_set() -> None:
    settings = Settings(kafka_bootstrap_servers="one:1,two:2")
    assert client_configuration(settings) == {"bootstrap.servers": "one:1,two:2"}
    assert spark_options(settings) == {"kafka.bootstrap.servers": "one:1,two:2"}


def test_librdkafka_gets_its_own_names(secure: Settings) -> None:
    assert client_configuration(secure) == {
        "bootstrap.servers": "b.example:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "tr0ub4dor",
        "socket.timeout.ms": "20000",
    }


def test_spark_gets_the_properties_as_they_are(secure: Settings) -> None:
    assert spark_options(secure) == {
        "kafka.bootstrap.servers": "b.example:9092",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": JAAS,
        "kafka.request.timeout.ms": "20000",
    }


def test_authorisation_error_is_explained_with_the_user(secure: Settings) -> None:
    explained = missing_right(secure, "Write", "topic binance_raw_data")
    assert explained == "user me needs Write on topic binance_raw_data"


def test_file_that_is_wrong_is_refused_at_the_start_by_name_and_path(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("ssl.keystore.pass=tr0ub4dor\nsecurity.protocol=SSL")
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(EXTRACTORS, {"KAFKA_CLIENT_PROPERTIES": str(path)})
    assert str(refused.value) == (
        f"KAFKA_CLIENT_PROPERTIES={str(path)!r}: ssl.keystore.pass: not supported here: librdkafka "
        "has no equivalent, see docs/managed-kafka.md"
    )


def test_file_that_has_gone_since_the_start_is_refused_by_name_and_path(secure: Settings) -> None:
    path = secure.kafka_client_properties
    Path(path).unlink()
    with pytest.raises(SettingError) as refused:
        client_configuration(secure)
    reason = "can't read the file: No such file or directory"
    assert str(refused.value) == f"KAFKA_CLIENT_PROPERTIES={path!r}: {reason}"
