"""Check and convert the text of settings. Each check raises ValueError with the expected form.

The message never contains the value: the caller adds it, unless it is a secret.
"""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from core.kafka_properties import librdkafka
from core.kafka_properties_file import read_properties
from core.topics import RAW_TOPIC_DAYS

KEY_LENGTH = 32
"""Minimum length of a key; makes brute force hopeless."""

HOST = re.compile(r"\[[0-9A-Fa-f:.%]+\]|[^\s/:@\[\]]+")
"""Form of a host in host:port; an IPv6 address has brackets."""

WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
DECIMAL = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)(e-?[0-9]{1,3})?")
"""Form of a number of seconds. Python's float() would also take `1_0` and ` 1`."""


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
    if not WHOLE_NUMBER.fullmatch(value) or not 0 < int(value) < 65536:
        raise ValueError("expected a port from 1 to 65535")
    return int(value)


def port_or_none(value: str) -> int:
    try:
        return 0 if value == "0" else port(value)
    except ValueError as error:
        raise ValueError(f"{error}, or 0 for none") from error


def count(maximum: int, *, minimum: int = 1) -> Callable[[str], int]:
    """Return the check of a whole number from `minimum` to `maximum`."""

    def check(value: str) -> int:
        if not WHOLE_NUMBER.fullmatch(value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"expected a whole number from {minimum} to {maximum}")
        return int(value)

    return check


def raw_days(maximum: int) -> Callable[[str], int]:
    """Return the check of the retention of raw/, up to `maximum` days."""

    def check(value: str) -> int:
        days = count(maximum)(value)
        if days <= RAW_TOPIC_DAYS:
            raise ValueError(
                f"expected more than {RAW_TOPIC_DAYS}, Kafka's retention in days: a restart looks in "
                "raw/ for what is archived"
            )
        return days

    return check


def seconds(maximum: int) -> Callable[[str], float]:
    """Return the check of a duration of up to `maximum` seconds."""

    def check(value: str) -> float:
        if not DECIMAL.fullmatch(value) or not 0 < float(value) <= maximum:
            raise ValueError(f"expected a number of seconds greater than 0, up to {maximum}")
        return float(value)

    return check


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
        has_login = "@" in url.netloc
        is_complete = url.hostname and number != 0
        if url.scheme not in schemes or has_login or not is_complete or not is_base:
            raise ValueError(expected)
        if not value.isascii():
            raise ValueError("expected a host in ASCII, such as xn--brse-5qa.com for börse.com")
        return value

    return check


http_base = base_url("http", "https")


def http_url(value: str) -> str:
    expected = "expected http:// or https:// and a host"
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


def origins(value: str) -> str:
    for origin in value.split(","):
        # Spelled as browsers send it, so that origins can be compared as text.
        if origin != http_base(origin).lower():
            raise ValueError("expected lower case")
        url = urlsplit(origin)
        if (url.scheme, url.port) in (("http", 80), ("https", 443)):
            raise ValueError("expected no port 80 of http or 443 of https: browsers leave it out")
    return value


def key(value: str) -> str:
    if len(value) < KEY_LENGTH or not (
        value.isascii() and value.isprintable() and " " not in value
    ):
        raise ValueError(
            f"expected {KEY_LENGTH} or more ASCII characters without spaces, as from openssl rand -hex 32"
        )
    return value
