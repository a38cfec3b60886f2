"""Connect each client of the project to a Kafka with TLS, logins and rights: one file configures all."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from core.kafka_client import client_configuration
from core.kafka_properties_file import read_properties
from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.ports import free_ports
from infra.secured.rights import KAFKA_RIGHTS, Right
from infra.services import kafka
from infra.stack import StackError
from spark_jobs.history.kept_messages import KeptMessages
from spark_jobs.kafka_source.partitions import (
    GROUP,
    RightError,
    partitions_of_topics,
    starting_offsets,
)
from tests.support.broker import JAVA
from tests.support.extractor import Extractor
from tests.support.frames import BTCUSDT
from tests.support.kafka import Topic, place
from tests.support.loopback import websocket_server
from tests.support.process import run, running
from tests.support.secure_kafka import MECHANISMS, PASSWORD, USER, SecureKafka, secure_kafka

TIMEOUT = 30.0

WRITE_AND_READ = (
    Right("Write", KUCOIN.raw_topic),
    Right("Read", KUCOIN.raw_topic),
    # librdkafka looks up the group of a consumer, though nothing joins it.
    Right("Describe", GROUP, ResourceType.GROUP),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        yield broker


def value_at(settings: Settings, sent: tuple[str, int, int]) -> bytes:
    """Read a message as the replay of dead letters does. Return its value. Raise MissingError if refused."""
    topic, partition, offset = sent
    with KeptMessages(settings) as messages:
        (frame,) = messages.read(topic, partition, [offset])
    return bytes(frame["value"].item())


def send(settings: Settings, topic: str, value: bytes) -> tuple[str, int, int]:
    """Produce a message. Return topic, partition and offset. Raise KafkaException if it is refused."""
    delivered: list[Message] = []

    def done(error: KafkaError | None, message: Message) -> None:
        if error:
            raise KafkaException(error)
        delivered.append(message)

    producer = Producer({**client_configuration(settings), "log_level": 0})
    producer.produce(topic, value, partition=0, on_delivery=done)
    assert producer.flush(TIMEOUT) == 0
    return place(delivered[0])


@contextmanager
def extractor_of(settings: Settings, folder: Path) -> Iterator[Extractor]:
    """Run Binance's extractor while the exchange sends a frame every 50 ms."""

    def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                connection.send(json.dumps([BTCUSDT]))
                time.sleep(0.05)

    with websocket_server(talk) as url:
        own_settings = replace(settings, journal_dir=str(folder)).with_exchange(
            "binance",
            addresses={"ws": url, "rest": url.replace("ws://", "http://")},
            metrics_port=free_ports(1)[0],
        )
        with running(Extractor("binance", own_settings, folder / "extractor.log")) as process:
            yield process


def test_extractor_delivers_with_the_rights_that_the_document_names(
    broker: SecureKafka, tmp_path: Path
) -> None:
    received = Topic(broker.owner, BINANCE.raw_topic)
    rights = [each for each in KAFKA_RIGHTS["extractors"] if each.name != KUCOIN.raw_topic]
    with broker.granted(*rights), extractor_of(broker.settings, tmp_path) as process:
        process.wait_for(received.messages)
        assert process.terminate() == 0
        assert "uthorization" not in process.log()
        assert PASSWORD not in process.log()


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (
            Right("Describe", "extractors", ResourceType.GROUP),
            "needs Describe on group extractors",
        ),
        (Right("Read", BINANCE.raw_topic), f"needs Read on topic {BINANCE.raw_topic}"),
    ],
    ids=["group", "topic"],
)
def test_right_that_a_restarted_extractor_lacks_is_named_and_does_not_end_it(
    broker: SecureKafka, tmp_path: Path, missing: Right, named: str
) -> None:
    received = Topic(broker.owner, BINANCE.raw_topic)
    with broker.granted(*KAFKA_RIGHTS["extractors"]):
        # Without an object store the journal keeps its segments, so the next process asks what Kafka has.
        with extractor_of(broker.settings, tmp_path) as process:
            process.wait_for(received.messages)
            process.kill()
        broker.revoke(*missing)
        with extractor_of(broker.settings, tmp_path) as process:
            reason = f"producer failed retry_in=2 reason='topic {BINANCE.raw_topic}: "
            process.wait_for(
                process.log,
                lambda log: any(reason in line and named in line for line in log.splitlines()),
            )
            assert "user prices " + named in process.log()
            assert "AssertionError" not in process.log()
            before = len(received.messages())
            broker.grant(*missing)
            process.wait_for(lambda: len(received.messages()) > before)
            assert process.terminate() == 0


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_message_is_written_and_read_after_a_login_over_tls(
    broker: SecureKafka, mechanism: str
) -> None:
    settings = broker.login(mechanism)
    with broker.granted(*WRITE_AND_READ):
        sent = send(settings, KUCOIN.raw_topic, mechanism.encode())
        assert value_at(settings, sent) == mechanism.encode()


@pytest.mark.parametrize("kind", ["PEM", "PKCS12"])
def test_message_is_written_and_read_with_a_client_certificate(
    broker: SecureKafka, kind: str
) -> None:
    settings = broker.certified("trader", kind)
    for right in WRITE_AND_READ:
        broker.grant(*right, principal="CN=trader")
    sent = send(settings, KUCOIN.raw_topic, kind.encode())
    assert value_at(settings, sent) == kind.encode()


def test_certificate_of_another_authority_is_refused_with_the_reason(
    broker: SecureKafka, tmp_path: Path
) -> None:
    strange = replace(broker.settings, kafka_client_properties=str(tmp_path / "strange"))
    Path(strange.kafka_client_properties).write_text(
        "\n".join(
            line
            for line in Path(broker.settings.kafka_client_properties).read_text().splitlines()
            if not line.startswith("ssl.truststore")
        )
    )
    with pytest.raises(StackError, match=r"^Kafka refuses the connection: .*certificate"):
        kafka.is_ready(strange)


def test_wrong_password_is_refused_with_the_reason_and_never_shown(broker: SecureKafka) -> None:
    with pytest.raises(
        StackError, match=r"^Kafka refuses the connection: .*uthentication"
    ) as wrong:
        kafka.is_ready(broker.login("SCRAM-SHA-256", "tr0ub4dor"))
    assert "tr0ub4dor" not in str(wrong.value)


def test_missing_right_to_read_is_named_with_user_and_topic(broker: SecureKafka) -> None:
    expected = f"^Kafka: user prices needs Read on topic {BINANCE.raw_topic}$"
    for read in (
        lambda: partitions_of_topics(broker.settings, [BINANCE.raw_topic]),
        lambda: starting_offsets(broker.settings, [BINANCE.raw_topic], {}),
    ):
        with pytest.raises(RightError, match=expected):
            read()


def test_topics_that_exist_need_no_right_to_create_and_a_missing_one_names_it(
    broker: SecureKafka,
) -> None:
    with broker.granted(*(("Describe", each.topic) for each in kafka.TOPICS)):
        kafka.initialise(broker.settings)
        broker.revoke("Describe", INSTRUMENTS)
        with pytest.raises(StackError) as refused:
            kafka.initialise(broker.settings)
    assert str(refused.value) == (
        "topic instruments could not be created: user prices needs Create on topic instruments"
    )


def test_keys_and_certificates_may_stand_in_the_file_itself(broker: SecureKafka) -> None:
    settings = broker.certified("inline")
    path = Path(settings.kafka_client_properties)
    key, certificate = (
        Path(read_properties(path)["ssl.keystore.location"])
        .read_text()
        .split("-----END PRIVATE KEY-----\n")
    )
    trusted = Path(read_properties(path)["ssl.truststore.location"]).read_text()
    values = {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.key": key + "-----END PRIVATE KEY-----",
        "ssl.keystore.certificate.chain": certificate + trusted,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": trusted,
    }
    path.write_text(
        "".join(
            f"{name}={value.strip()}\n".replace("\n", "\\n\\\n") + "\n"
            for name, value in values.items()
        )
    )
    broker.grant("Write", KUCOIN.raw_topic, principal="CN=inline")
    assert send(settings, KUCOIN.raw_topic, b"[]")[0] == KUCOIN.raw_topic


@pytest.mark.parametrize("way", ["login", "PEM", "PKCS12"])
def test_the_same_file_serves_kafkas_own_tools(broker: SecureKafka, way: str) -> None:
    settings = broker.settings if way == "login" else broker.certified("tool", way)
    principal = USER if way == "login" else "CN=tool"
    broker.grant("Describe", FEED_EVENTS, principal=principal)
    command = [*JAVA, "-cp", kafka.CLASSPATH, "org.apache.kafka.tools.GetOffsetShell"]
    command += ["--bootstrap-server", settings.kafka_bootstrap_servers, "--topic", FEED_EVENTS]
    done = run([*command, "--command-config", settings.kafka_client_properties])
    assert done.stdout.startswith(f"{FEED_EVENTS}:0:")
