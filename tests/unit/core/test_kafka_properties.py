"""Test that Java client properties are translated for librdkafka, and others refused by name."""

import traceback
from pathlib import Path

import pytest
from confluent_kafka import Producer

from core.kafka_properties import NUMBERS, librdkafka, user_of

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
LOGIN = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.jaas.config": f'{SCRAM} required username="me" password="tr0ub4dor";',
}


@pytest.fixture
def pem(tmp_path: Path) -> str:
    path = tmp_path / "store.pem"
    path.write_text("its content is read by the client")
    return str(path)


def test_empty_properties_stay_empty() -> None:
    assert librdkafka({}) == {}


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [("PLAIN", PLAIN), ("SCRAM-SHA-256", SCRAM), ("SCRAM-SHA-512", SCRAM)],
)
def test_login_becomes_user_and_password(mechanism: str, module: str) -> None:
    properties = LOGIN | {
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f"{module} required\n username='m\\'e' \t password=\"a \\\"b\\\\;c\" ;",
    }
    assert librdkafka(properties) == {
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": mechanism,
        "sasl.username": "m'e",
        "sasl.password": 'a "b\\;c',
    }


@pytest.mark.parametrize(
    ("escaped", "password"),
    [(r"p\101x", "pAx"), (r"\477", "'7"), (r"\18\0", "\x018\0"), (r"\n\q\8", "\nq8")],
)
def test_escapes_of_a_password_are_those_of_java(escaped: str, password: str) -> None:
    """As java.io.StreamTokenizer reads them: up to three octal digits, up to 377, are one character."""
    jaas_config = f'{SCRAM} required username="me" password="{escaped}";'
    properties = LOGIN | {"sasl.jaas.config": jaas_config}
    assert librdkafka(properties)["sasl.password"] == password


def test_pem_files_and_tuning_get_librdkafkas_names(pem: str) -> None:
    properties = {
        "security.protocol": "ssl",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": pem,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": pem,
        "ssl.key.password": "secret",
        "ssl.endpoint.identification.algorithm": "",
        "client.id": "prices",
        "client.dns.lookup": "use_all_dns_ips",
        "request.timeout.ms": "20000",
        "reconnect.backoff.max.ms": "1000",
    }
    assert librdkafka(properties) == {
        "security.protocol": "ssl",
        "ssl.ca.location": pem,
        "ssl.certificate.location": pem,
        "ssl.key.location": pem,
        "ssl.key.password": "secret",
        "ssl.endpoint.identification.algorithm": "none",
        "client.id": "prices",
        "client.dns.lookup": "use_all_dns_ips",
        "socket.timeout.ms": "20000",
        "reconnect.backoff.max.ms": "1000",
    }


def test_pkcs12_keystore_keeps_its_name(pem: str) -> None:
    properties = {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": pem,
        "ssl.keystore.password": "secret",
        "ssl.key.password": "secret",
    }
    assert librdkafka(properties) == {
        "security.protocol": "ssl",
        "ssl.keystore.location": pem,
        "ssl.keystore.password": "secret",
    }


def test_pem_in_one_line_gets_its_line_breaks() -> None:
    body = "A" * 70
    properties = {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": 2
        * f"-----BEGIN CERTIFICATE----- {body} -----END CERTIFICATE----- ",
    }
    one = f"-----BEGIN CERTIFICATE-----\n{'A' * 64}\nAAAAAA\n-----END CERTIFICATE-----\n"
    assert librdkafka(properties)["ssl.ca.pem"] == one + one


def test_librdkafka_takes_every_number_at_both_ends_of_its_range() -> None:
    for end in (1, 2):
        numbers = {name: str(each[end]) for name, each in NUMBERS.items()}
        Producer({"log_level": 0, **librdkafka(numbers)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"security.protocol": "TLS"}, "security.protocol: expected one of PLAINTEXT, SSL, "),
        ({"sasl.mechanism": "GSSAPI"}, "sasl.mechanism: expected one of PLAIN, SCRAM-SHA-256, "),
        ({"sasl.mechanism": "PLAIN"}, f"sasl.jaas.config: expected {PLAIN}, which sasl.mechanism"),
        ({"sasl.jaas.config": "tr0ub4dor"}, f"sasl.jaas.config: expected {SCRAM} required user"),
        (
            {"sasl.jaas.config": f'{SCRAM} required username="me" token="tr0ub4dor";'},
            "sasl.jaas.config: expected the options username and password, and no other",
        ),
        ({"security.protocol": "PLAINTEXT"}, "sasl.jaas.config: no effect, because security.pro"),
        ({"security.protocol": "SSL"}, "sasl.jaas.config: no effect, because security.protocol "),
        (
            {"security.protocol": "SASL_PLAINTEXT", "ssl.truststore.type": "PEM"},
            "ssl.truststore.type: no effect, because security.protocol is SASL_PLAINTEXT",
        ),
        (
            {"ssl.truststore.type": "JKS", "ssl.truststore.location": "/tr0ub4dor"},
            "ssl.truststore.type=JKS: librdkafka reads PEM only",
        ),
        (
            {"ssl.truststore.location": "/tr0ub4dor"},
            "ssl.truststore.type=JKS, the default: librdkafka reads PEM only",
        ),
        (
            {"ssl.keystore.type": "JKS", "ssl.keystore.location": "/tr0ub4dor"},
            "ssl.keystore.type=JKS: librdkafka reads PEM and PKCS12",
        ),
        (
            {"ssl.truststore.type": "PEM", "ssl.truststore.location": "/no/such"},
            "ssl.truststore.location=/no/such: can't read the file: No such file or directory",
        ),
        (
            {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": "tr0ub4dor"},
            "ssl.truststore.certificates: expected -----BEGIN …-----",
        ),
        ({"ssl.truststore.password": "tr0ub4dor"}, "ssl.truststore.password: not supported here"),
        ({"ssl.key.password": "tr0ub4dor"}, "ssl.keystore.location: missing"),
        (
            {"ssl.keystore.type": "PEM", "ssl.keystore.key": "tr0ub4dor"},
            "ssl.keystore.key: needs ssl.keystore.certificate.chain, and vice versa",
        ),
        (
            {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": "/tr0ub4dor",
                "ssl.keystore.certificate.chain": "tr0ub4dor",
            },
            "ssl.keystore.location: ssl.keystore.certificate.chain is set as well",
        ),
        (
            {"ssl.endpoint.identification.algorithm": "tr0ub4dor"},
            "ssl.endpoint.identification.algorithm: expected https, or empty",
        ),
        ({"request.timeout.ms": "30s"}, "request.timeout.ms: expected a whole number from 10 to "),
        (
            {"connections.max.idle.ms": "0"},
            "connections.max.idle.ms: expected a whole number from 1 to ",
        ),
        ({"bootstrap.servers": "b:9092"}, "bootstrap.servers: not supported here: set KAFKA_BOOTS"),
        (
            {"sasl.login.callback.handler.class": "tr0ub4dor"},
            "sasl.login.callback.handler.class: not supported here: librdkafka has no equivalent",
        ),
    ],
)
def test_what_has_no_translation_is_refused_by_name_and_no_secret_is_shown(
    change: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError) as refused:
        librdkafka(LOGIN | change)
    assert str(refused.value).startswith(reason)
    shown = "".join(traceback.format_exception(refused.value))
    assert "tr0ub4dor" not in shown.replace("/tr0ub4dor", "")


@pytest.mark.parametrize(
    ("properties", "user"),
    [({}, "user ANONYMOUS"), (LOGIN, "user me")],
)
def test_user_is_the_one_that_the_brokers_know(properties: dict[str, str], user: str) -> None:
    assert user_of(properties) == user


def test_with_a_client_certificate_the_brokers_know_its_principal(pem: str) -> None:
    properties = {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": pem,
    }
    assert user_of(properties) == "the client certificate's principal"


@pytest.mark.parametrize(
    ("properties", "added"),
    [
        ({"reconnect.backoff.ms": "2000"}, {"reconnect.backoff.max.ms": "2000"}),
        ({"reconnect.backoff.ms": "1000"}, {}),
        ({"reconnect.backoff.max.ms": "60"}, {"reconnect.backoff.ms": "60"}),
        ({"reconnect.backoff.max.ms": "0"}, {"reconnect.backoff.ms": "0"}),
        ({"reconnect.backoff.max.ms": "100"}, {}),
        ({"reconnect.backoff.ms": "2000", "reconnect.backoff.max.ms": "2000"}, {}),
    ],
)
def test_a_limit_of_the_pause_between_connections_moves_the_other_ones_default(
    properties: dict[str, str], added: dict[str, str]
) -> None:
    assert librdkafka(properties) == properties | added
    Producer({"reconnect.backoff.max.ms": 1000, **librdkafka(properties)})


def test_a_first_pause_above_the_longest_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^reconnect\.backoff\.ms: above reconnect\.backoff\.max"):
        librdkafka({"reconnect.backoff.ms": "2000", "reconnect.backoff.max.ms": "1000"})
