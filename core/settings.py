"""Every setting of the project, read once from the environment and checked.

`.env.example` lists the same names with the same defaults.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from core.kafka_properties import librdkafka
from core.kafka_properties_file import read_properties
from core.topics import RAW_TOPIC_DAYS

KEY_LENGTH = 32
"""Characters of a key at least: so many that nobody guesses it, however many guesses are free."""


class SettingError(ValueError):
    """A value in the environment that can't be right. The message has its name and the value."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it: localhost, or an address such as 127.0.0.1 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_ports(value: str) -> str:
    for part in value.split(","):
        host, separator, port = part.rpartition(":")
        if not (host and separator):
            raise ValueError("expected host:port, or several with commas between them")
        _port(port)
    return value


def _client_properties(value: str) -> str:
    librdkafka(read_properties(Path(value)))
    return value


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise ValueError("expected a port from 1 to 65535")
    return int(value)


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ValueError("expected a whole number, more than 0")
    return int(value)


def _raw_days(value: str) -> int:
    days = _count(value)
    if days <= RAW_TOPIC_DAYS:
        raise ValueError(
            f"expected more than the {RAW_TOPIC_DAYS} days that Kafka keeps: raw/ says what was archived"
        )
    return days


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise ValueError("expected seconds, more than 0")
    return seconds


def _base_url(*schemes: str) -> Callable[[str], str]:
    bases = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    expected = f"expected {bases} without a path, the port from 1 to 65535"

    def check(value: str) -> str:
        try:
            url = urlsplit(value)
            port = url.port
        except ValueError as error:
            raise ValueError(expected) from error
        is_base = value == f"{url.scheme}://{url.netloc}"
        if url.scheme not in schemes or not url.hostname or port == 0 or not is_base:
            raise ValueError(expected)
        return value

    return check


def _database_url(value: str) -> str:
    expected = "expected postgresql://user:password@host:port/database"
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        # Not "from error": that one quotes the password.
        raise ValueError(expected) from None
    is_postgres = url.scheme in ("postgresql", "postgres")
    if not is_postgres or not url.hostname or port == 0 or len(url.path) < 2:
        raise ValueError(expected)
    return value


_http_base = _base_url("http", "https")


def _origins(value: str) -> str:
    for origin in value.split(","):
        # As browsers write it, so that it can be compared as it is.
        if origin != _http_base(origin).lower():
            raise ValueError("expected small letters")
    return value


def _key(value: str) -> str:
    if len(value) < KEY_LENGTH or not (
        value.isascii() and value.isprintable() and " " not in value
    ):
        raise ValueError(
            f"expected {KEY_LENGTH} or more ASCII characters without spaces, as from openssl rand -hex 32"
        )
    return value


def _text(value: str) -> str:
    return value


def _setting(default: str | float, check: Callable[[str], Any], *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"check": check, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. The name in the environment is the field's name in capitals."""

    kafka_bootstrap_servers: str = _setting("127.0.0.1:9092", _host_ports)
    kafka_client_properties: str = _setting("", _client_properties)
    s3_endpoint_url: str = _setting("http://127.0.0.1:9000", _http_base)
    s3_bucket: str = _setting("cryptopricesrt", _text)
    aws_access_key_id: str = _setting("admin", _text)
    aws_secret_access_key: str = _setting("password123", _text, secret=True)
    database_url: str = _setting(
        "postgresql://crypto:password123@127.0.0.1:5432/cryptopricesrt", _database_url, secret=True
    )
    reader_database_url: str = _setting(
        "postgresql://reader:password123@127.0.0.1:5432/cryptopricesrt", _database_url, secret=True
    )
    binance_ws_url: str = _setting("wss://stream.binance.com:9443", _base_url("ws", "wss"))
    binance_rest_url: str = _setting("https://api.binance.com", _http_base)
    kucoin_rest_url: str = _setting("https://api.kucoin.com", _http_base)
    binance_silence_limit: float = _setting(10.0, _seconds)
    kucoin_silence_limit: float = _setting(15.0, _seconds)
    connection_age_limit: float = _setting(23 * 3600.0, _seconds)
    journal_dir: str = _setting(".stack/journal", _text)
    journal_limit_bytes: int = _setting(10_000_000_000, _count)
    landing_retention_days: int = _setting(30, _count)
    raw_retention_days: int = _setting(30, _raw_days)
    tickers_retention_days: int = _setting(90, _count)
    lake_batch_seconds: int = _setting(60, _count)
    candles_retention_days: int = _setting(90, _count)
    metrics_host: str = _setting("127.0.0.1", _text)
    binance_metrics_port: int = _setting(9101, _port)
    kucoin_metrics_port: int = _setting(9102, _port)
    live_prices_metrics_port: int = _setting(9103, _port)
    raw_archive_metrics_port: int = _setting(9104, _port)
    price_history_metrics_port: int = _setting(9105, _port)
    server_host: str = _setting("127.0.0.1", _text)
    server_port: int = _setting(8000, _port)
    server_api_key: str = _setting("", _key, secret=True)
    server_origins: str = _setting("", _origins)
    server_stream_limit: int = _setting(2000, _count)
    server_stream_limit_per_address: int = _setting(100, _count)
    binance_price_age_limit: float = _setting(30.0, _seconds)
    kucoin_price_age_limit: float = _setting(30.0, _seconds)
    checkpoint_dir: str = _setting(".stack/checkpoints", _text)
    stack_dir: str = _setting("", _text)
    # The local stack alone reads these.
    s3_console_port: int = _setting(9001, _port)
    kafka_controller_port: int = _setting(9093, _port)
    exchange_port: int = _setting(8090, _port)

    @property
    def candles_retention(self) -> timedelta:
        return timedelta(days=self.candles_retention_days)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingError at the first value that can't be right. No secret's value is shown."""
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.name.upper()
            value = environment.get(name, "")
            if not value:
                continue
            try:
                values[setting.name] = setting.metadata["check"](value)
            except ValueError as error:
                shown = "(a secret, not shown)" if setting.metadata["secret"] else repr(value)
                raise SettingError(f"{name}={shown}: {error}") from error
        settings = cls(**values)
        if not is_loopback(settings.server_host) and not settings.server_api_key:
            raise SettingError(
                f"SERVER_HOST={settings.server_host!r}: others can reach it, so SERVER_API_KEY is needed"
            )
        return settings

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for the processes that a stack starts."""
        return {f.name.upper(): str(getattr(self, f.name)) for f in fields(self)}
