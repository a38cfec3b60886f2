"""Translate Java client properties to librdkafka's names.

One file configures both Spark, which uses Java clients, and the project's other clients, which use
librdkafka. A property without an equivalent in librdkafka raises an error, so the two kinds of
clients never differ silently. docs/managed-kafka.md has the table.
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from core.kafka_login import MODULES, read_login

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

NUMBERS = {
    # With 0, Java closes idle connections at once, and librdkafka never.
    "connections.max.idle.ms": ("connections.max.idle.ms", 1, 2147483647),
    "metadata.max.age.ms": ("metadata.max.age.ms", 1, 86400000),
    "reconnect.backoff.ms": ("reconnect.backoff.ms", 0, 3600000),
    "reconnect.backoff.max.ms": ("reconnect.backoff.max.ms", 0, 3600000),
    # librdkafka's request.timeout.ms only limits how long a producer waits for acknowledgements.
    "request.timeout.ms": ("socket.timeout.ms", 10, 300000),
    "retry.backoff.ms": ("retry.backoff.ms", 1, 300000),
    "retry.backoff.max.ms": ("retry.backoff.max.ms", 1, 300000),
    "socket.connection.setup.timeout.ms": ("socket.connection.setup.timeout.ms", 1000, 2147483647),
}
"""Mapping from Java's name to librdkafka's name, and its minimum and maximum."""

RECONNECT_PAUSE, LONGEST_RECONNECT_PAUSE = "reconnect.backoff.ms", "reconnect.backoff.max.ms"
"""The pause doubles with each failed attempt to connect, from the first of these to the second."""

RECONNECT_PAUSE_MS, LONGEST_RECONNECT_PAUSE_MS = 100, 1000
"""Default of the first in librdkafka, and the lowest default of the second in this project's clients."""

DNS_LOOKUPS = ("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only")

OTHERS = {
    "bootstrap.servers": "set KAFKA_BOOTSTRAP_SERVERS instead",
    "group.id": "each program sets it by itself",
    "acks": "each program sets it by itself",
    "session.timeout.ms": "no program of this project joins a consumer group",
    "ssl.truststore.password": "a PEM truststore has no password",
}
"""Mapping from properties that are common in such files to the reason why they are refused."""

PRINCIPAL = "the client certificate's principal"

_SASL = "sasl."
_SSL = "ssl."


def librdkafka(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the same configuration under librdkafka's names.

    Raise ValueError with the name of a property that can't be translated. The message contains its
    value only if that can't be a secret.
    """
    rest = dict(properties)
    translated: dict[str, str] = {}
    protocol = rest.pop("security.protocol", "PLAINTEXT").upper()
    if protocol not in PROTOCOLS:
        raise ValueError(f"security.protocol: expected one of {', '.join(PROTOCOLS)}")
    if "security.protocol" in properties:
        translated["security.protocol"] = protocol.lower()
    _refuse_without_effect(rest, protocol)
    if protocol.startswith("SASL_"):
        translated |= _login(rest)
    translated |= _truststore(rest) | _keystore(rest) | _identification(rest) | _plain(rest)
    if rest:
        name = min(rest)
        advice = OTHERS.get(name, "librdkafka has no equivalent, see docs/managed-kafka.md")
        raise ValueError(f"{name}: not supported here: {advice}")
    return translated


def user_of(properties: Mapping[str, str]) -> str:
    """Return the client's identity as the brokers see it, for a message: "user me"."""
    config = librdkafka(properties)
    if "sasl.username" in config:
        return f"user {config['sasl.username']}"
    if config.keys() & {"ssl.keystore.location", "ssl.certificate.location", "ssl.certificate.pem"}:
        return PRINCIPAL
    return "user ANONYMOUS"


def _refuse_without_effect(properties: Mapping[str, str], protocol: str) -> None:
    """Raise ValueError for a setting that the protocol ignores: encryption or login would be missing."""
    for name in sorted(properties):
        if name.startswith(_SASL) and not protocol.startswith("SASL_"):
            raise ValueError(f"{name}: no effect, because security.protocol is {protocol}")
        if name.startswith(_SSL) and not protocol.endswith("SSL"):
            raise ValueError(f"{name}: no effect, because security.protocol is {protocol}")


def _login(rest: dict[str, str]) -> dict[str, str]:
    mechanism = rest.pop("sasl.mechanism", "GSSAPI")
    if mechanism not in MODULES:
        raise ValueError(f"sasl.mechanism: expected one of {', '.join(MODULES)}")
    try:
        login = read_login(mechanism, rest.pop("sasl.jaas.config", ""))
    except ValueError as error:
        raise ValueError(f"sasl.jaas.config: {error}") from None
    return {
        "sasl.mechanism": mechanism,
        "sasl.username": login.username,
        "sasl.password": login.password,
    }


def _truststore(rest: dict[str, str]) -> dict[str, str]:
    kind = rest.pop("ssl.truststore.type", None)
    location = rest.pop("ssl.truststore.location", None)
    certificates = rest.pop("ssl.truststore.certificates", None)
    if location is None and certificates is None:
        if kind is not None:
            raise ValueError("ssl.truststore.type: ssl.truststore.location is missing")
        return {}
    if kind != "PEM":
        raise ValueError(
            f"ssl.truststore.type={kind or 'JKS, the default'}: librdkafka reads PEM only; to "
            "convert: keytool -list -rfc -keystore <file>"
        )
    if location is not None and certificates is not None:
        raise ValueError("ssl.truststore.certificates: ssl.truststore.location is set as well")
    if location is not None:
        return {"ssl.ca.location": _readable("ssl.truststore.location", location)}
    return {"ssl.ca.pem": _pem("ssl.truststore.certificates", certificates or "")}


def _keystore(rest: dict[str, str]) -> dict[str, str]:
    kind = rest.pop("ssl.keystore.type", None)
    location = rest.pop("ssl.keystore.location", None)
    password = rest.pop("ssl.keystore.password", None)
    key = rest.pop("ssl.keystore.key", None)
    chain = rest.pop("ssl.keystore.certificate.chain", None)
    key_password = rest.pop("ssl.key.password", None)
    if location is None and key is None and chain is None:
        if kind or password or key_password:
            raise ValueError(
                "ssl.keystore.location: missing, but other keystore properties are set"
            )
        return {}
    if kind not in ("PEM", "PKCS12"):
        raise ValueError(
            f"ssl.keystore.type={kind or 'JKS, the default'}: librdkafka reads PEM and PKCS12; to "
            "convert: keytool -importkeystore -deststoretype PKCS12"
        )
    if location is not None and (key is not None or chain is not None):
        other = "certificate.chain" if key is None else "key"
        raise ValueError(f"ssl.keystore.location: ssl.keystore.{other} is set as well")
    if kind == "PKCS12":
        return _pkcs12(location, password, key_password)
    if password is not None:
        raise ValueError("ssl.keystore.password: a PEM keystore has none; set ssl.key.password")
    secret = {} if key_password is None else {"ssl.key.password": key_password}
    if location is not None:
        # One file with key and certificates: OpenSSL finds each in it.
        path = _readable("ssl.keystore.location", location)
        return {"ssl.certificate.location": path, "ssl.key.location": path} | secret
    if key is None or chain is None:
        raise ValueError("ssl.keystore.key: needs ssl.keystore.certificate.chain, and vice versa")
    return secret | {
        "ssl.key.pem": _pem("ssl.keystore.key", key),
        "ssl.certificate.pem": _pem("ssl.keystore.certificate.chain", chain),
    }


def _pkcs12(location: str | None, password: str | None, key_password: str | None) -> dict[str, str]:
    if location is None or password is None:
        raise ValueError("ssl.keystore.type=PKCS12: needs ssl.keystore.location and its password")
    if key_password not in (None, password):
        raise ValueError("ssl.key.password: must be the password of the PKCS12 keystore")
    path = _readable("ssl.keystore.location", location)
    return {"ssl.keystore.location": path, "ssl.keystore.password": password}


def _identification(rest: dict[str, str]) -> dict[str, str]:
    name = "ssl.endpoint.identification.algorithm"
    if name not in rest:
        return {}
    algorithm = rest.pop(name).lower()
    if algorithm not in ("", "https"):
        raise ValueError(f"{name}: expected https, or empty to accept any host name")
    return {name: algorithm or "none"}


def _plain(rest: dict[str, str]) -> dict[str, str]:
    translated = {}
    if "client.id" in rest:
        translated["client.id"] = rest.pop("client.id")
    if "client.dns.lookup" in rest:
        lookup = rest.pop("client.dns.lookup")
        if lookup not in DNS_LOOKUPS:
            raise ValueError(f"client.dns.lookup: expected {' or '.join(DNS_LOOKUPS)}")
        translated["client.dns.lookup"] = lookup
    for name in NUMBERS.keys() & rest.keys():
        theirs, least, greatest = NUMBERS[name]
        value = rest.pop(name)
        if not (value.isascii() and value.isdigit() and least <= int(value) <= greatest):
            raise ValueError(f"{name}: expected a whole number from {least} to {greatest}")
        translated[theirs] = value
    return translated | _reconnect_pause(translated)


def _reconnect_pause(translated: Mapping[str, str]) -> dict[str, str]:
    """Return the pause that is not set, if its default has to be raised or lowered to match the other.

    librdkafka refuses a first pause above the longest, even if one of them is only a default. Java's
    clients adjust the default.
    """
    first, longest = translated.get(RECONNECT_PAUSE), translated.get(LONGEST_RECONNECT_PAUSE)
    if first and longest and int(first) > int(longest):
        raise ValueError(f"{RECONNECT_PAUSE}: above {LONGEST_RECONNECT_PAUSE}, which is {longest}")
    if first and not longest and int(first) > LONGEST_RECONNECT_PAUSE_MS:
        return {LONGEST_RECONNECT_PAUSE: first}
    if longest and not first and int(longest) < RECONNECT_PAUSE_MS:
        return {RECONNECT_PAUSE: longest}
    return {}


def _readable(name: str, location: str) -> str:
    try:
        Path(location).read_bytes()
    except OSError as error:
        raise ValueError(f"{name}={location}: can't read the file: {error.strerror}") from error
    return location


def _pem(name: str, text: str) -> str:
    """Return PEM with the line breaks that OpenSSL expects; Java also reads PEM on one line."""
    blocks = []
    for block in text.split("-----END ")[:-1]:
        label, _, body = block.partition("-----BEGIN ")[2].partition("-----")
        lines = textwrap.wrap("".join(body.split()), 64)
        blocks.append("\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----\n"]))
    if not blocks:
        raise ValueError(f"{name}: expected -----BEGIN …-----, in the PEM format")
    return "".join(blocks)
