"""Check and convert the text of settings. Each check raises ValueError with the expected form.

The message never contains the value: the caller adds it, unless it is a secret.
"""

import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from core.kafka_properties import librdkafka
from core.kafka_properties_file import read_properties
from core.topics import RAW_TOPIC_DAYS

KEY_LENGTH = 32
"""Minimum length of a key; makes brute force hopeless."""

HOST = re.compile(r"\[[0-9A-Fa-f:.%]+\]|[^\s/:@\[\]]+")
"""Form of a host in host:port; an IPv6 address has brackets."""


def text(value: str) -> str:
    return value


def host_ports(value: str) -> str:
    parts = [part.strip() for part in value.split(",")]
    for part in parts:
        if "://" in part:
            raise ValueError(
                "expected host:port without a scheme; set security.protocol in the file that "
                "KAFKA_CLIENT_PROPERTIES names"
            )
        host, separator, number = part.rpartition(":")
        if not (separator and HOST.fullmatch(host)):
            raise ValueError("expected host:port, or several separated by commas")
        port(number)
    return ",".join(parts)


def client_properties(value: str) -> str:
    librdkafka(read_properties(Path(value)))
    return value


def port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise ValueError("expected a port from 1 to 65535")
    return int(value)


def port_or_none(value: str) -> int:
    return 0 if value == "0" else port(value)


def count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ValueError("expected a whole number greater than 0")
    return int(value)


def count_or_none(value: str) -> int:
    return 0 if value == "0" else count(value)


def raw_days(value: str) -> int:
    days = count(value)
    if days <= RAW_TOPIC_DAYS:
        raise ValueError(
            f"expected more than {RAW_TOPIC_DAYS}, Kafka's retention in days: raw/ shows what was archived"
        )
    return days


def seconds(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise ValueError("expected a number of seconds greater than 0")
    return number


def base_url(*schemes: str) -> Callable[[str], str]:
    bases = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    expected = f"expected {bases} without a path, the port from 1 to 65535"

    def check(value: str) -> str:
        try:
            url = urlsplit(value)
            number = url.port
        except ValueError as error:
            raise ValueError(expected) from error
        is_base = value == f"{url.scheme}://{url.netloc}"
        if url.scheme not in schemes or not url.hostname or number == 0 or not is_base:
            raise ValueError(expected)
        return value

    return check


http_base = base_url("http", "https")


def http_url(value: str) -> str:
    expected = "expected http:// or https://, a host and a path"
    try:
        url = urlsplit(value)
        number = url.port
    except ValueError:
        # Not "from error": the cause may contain a token.
        raise ValueError(expected) from None
    if url.scheme not in ("http", "https") or not url.hostname or number == 0:
        raise ValueError(expected)
    return value


def base_of(default: str) -> Callable[[str], str]:
    """Return the check of an address with this default: the same scheme, with or without TLS."""
    scheme = plain_scheme(default)
    return base_url(scheme, f"{scheme}s")


def plain_scheme(url: str) -> str:
    """Return the scheme without TLS: http of https://..., ws of wss://..."""
    scheme = urlsplit(url).scheme
    return {"https": "http", "wss": "ws"}.get(scheme, scheme)


def database_url(value: str) -> str:
    expected = "expected postgresql://user:password@host:port/database"
    try:
        url = urlsplit(value)
        number = url.port
    except ValueError:
        # Not "from error": the cause contains the password.
        raise ValueError(expected + _encoding_advice(value)) from None
    is_postgres = url.scheme in ("postgresql", "postgres")
    if not is_postgres or not url.hostname or number == 0 or len(url.path) < 2:
        raise ValueError(expected + _encoding_advice(value))
    # The password ends at the last @ for urllib, at the first for libpq.
    user_and_password = url.netloc.rpartition("@")[0]
    if "@" in user_and_password or "@" in url.path or _has_bare_percent(user_and_password):
        raise ValueError(expected + _encoding_advice(value))
    return value


def _encoding_advice(value: str) -> str:
    if "@" not in value:
        return ""
    return "; percent-encode @ / ? # % in the password, such as %40 for @"


def _has_bare_percent(encoded: str) -> bool:
    return re.search(r"%(?![0-9A-Fa-f]{2})", encoded) is not None


def origins(value: str) -> str:
    for origin in value.split(","):
        # Spelled as browsers send it, so that origins can be compared as text.
        if origin != http_base(origin).lower():
            raise ValueError("expected lower case")
    return value


def key(value: str) -> str:
    if len(value) < KEY_LENGTH or not (
        value.isascii() and value.isprintable() and " " not in value
    ):
        raise ValueError(
            f"expected {KEY_LENGTH} or more ASCII characters without spaces, as from openssl rand -hex 32"
        )
    return value
