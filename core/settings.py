"""Every setting of the project, read once from the environment and checked.

Each setting names the programs that read it, and a program checks those only: a wrong setting of
the server does not stop the extractors. `.env.example` lists the same names.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Self

from core import setting_checks as check


class SettingError(ValueError):
    """A value in the environment that can't be right. The message has its name and the value."""


class Program(Enum):
    """Who reads settings. The local stack reads all of them, because it starts all the others."""

    EXTRACTORS = auto()
    JOBS = auto()
    SERVER = auto()
    EXCHANGE = auto()
    STACK = auto()


EXTRACTORS, JOBS, SERVER, EXCHANGE, STACK = Program


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it: localhost, or an address such as 127.0.0.1 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _setting(
    default: str | float, convert: Callable[[str], Any], *programs: Program, secret: bool = False
) -> Any:
    metadata = {"convert": convert, "programs": {*programs, STACK}, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. The name in the environment is the field's name in capitals."""

    kafka_bootstrap_servers: str = _setting("127.0.0.1:9092", check.host_ports, EXTRACTORS, JOBS)
    kafka_client_properties: str = _setting("", check.client_properties, EXTRACTORS, JOBS)
    s3_endpoint_url: str = _setting(
        "http://127.0.0.1:9000", check.http_base, EXTRACTORS, JOBS, EXCHANGE
    )
    s3_bucket: str = _setting("cryptopricesrt", check.text, EXTRACTORS, JOBS)
    aws_access_key_id: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE)
    aws_secret_access_key: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE, secret=True)
    aws_session_token: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE, secret=True)
    database_url: str = _setting(
        "postgresql://crypto:password123@127.0.0.1:5432/cryptopricesrt",
        check.database_url,
        JOBS,
        secret=True,
    )
    reader_database_url: str = _setting(
        "postgresql://reader:password123@127.0.0.1:5432/cryptopricesrt",
        check.database_url,
        SERVER,
        secret=True,
    )
    binance_ws_url: str = _setting(
        "wss://stream.binance.com:9443", check.base_url("ws", "wss"), EXTRACTORS
    )
    binance_rest_url: str = _setting("https://api.binance.com", check.http_base, EXTRACTORS)
    kucoin_rest_url: str = _setting("https://api.kucoin.com", check.http_base, EXTRACTORS)
    binance_silence_limit: float = _setting(10.0, check.seconds, EXTRACTORS)
    kucoin_silence_limit: float = _setting(15.0, check.seconds, EXTRACTORS)
    kucoin_batch_seconds: float = _setting(1.0, check.seconds, EXTRACTORS)
    connection_age_limit: float = _setting(23 * 3600.0, check.seconds, EXTRACTORS)
    journal_dir: str = _setting(".stack/journal", check.text, EXTRACTORS)
    journal_limit_bytes: int = _setting(10_000_000_000, check.count, EXTRACTORS)
    landing_retention_days: int = _setting(30, check.count)
    raw_retention_days: int = _setting(30, check.raw_days, JOBS)
    tickers_retention_days: int = _setting(90, check.count, JOBS)
    lake_batch_seconds: int = _setting(60, check.count, JOBS)
    candles_retention_days: int = _setting(90, check.count, JOBS)
    metrics_host: str = _setting("127.0.0.1", check.text, EXTRACTORS, JOBS)
    binance_metrics_port: int = _setting(9101, check.port, EXTRACTORS)
    kucoin_metrics_port: int = _setting(9102, check.port, EXTRACTORS)
    live_prices_metrics_port: int = _setting(9103, check.port, JOBS)
    raw_archive_metrics_port: int = _setting(9104, check.port, JOBS)
    price_history_metrics_port: int = _setting(9105, check.port, JOBS)
    server_host: str = _setting("127.0.0.1", check.text, SERVER)
    server_port: int = _setting(8000, check.port, SERVER)
    server_api_key: str = _setting("", check.key, SERVER, secret=True)
    server_origins: str = _setting("", check.origins, SERVER)
    server_stream_limit: int = _setting(2000, check.count, SERVER)
    server_stream_limit_per_address: int = _setting(100, check.count, SERVER)
    binance_price_age_limit: float = _setting(30.0, check.seconds, SERVER)
    kucoin_price_age_limit: float = _setting(30.0, check.seconds, SERVER)
    checkpoint_dir: str = _setting(".stack/checkpoints", check.text, JOBS)
    stack_dir: str = _setting("", check.text)
    s3_console_port: int = _setting(9001, check.port)
    kafka_controller_port: int = _setting(9093, check.port)
    exchange_port: int = _setting(8090, check.port, EXCHANGE)

    @property
    def candles_retention(self) -> timedelta:
        return timedelta(days=self.candles_retention_days)

    @classmethod
    def from_environment(
        cls, program: Program, environment: Mapping[str, str] = os.environ
    ) -> Self:
        """Return the settings that `program` reads; all others keep their defaults.

        Raise SettingError at the first value that can't be right. No secret's value is shown.
        """
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.name.upper()
            value = environment.get(name, "")
            if not value or program not in setting.metadata["programs"]:
                continue
            try:
                values[setting.name] = setting.metadata["convert"](value)
            except ValueError as error:
                shown = "(a secret, not shown)" if setting.metadata["secret"] else repr(value)
                raise SettingError(f"{name}={shown}: {error}") from error
        settings = cls(**values)
        _check_together(settings)
        return settings

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for the processes that a stack starts."""
        return {f.name.upper(): str(getattr(self, f.name)) for f in fields(self)}


def _check_together(settings: Settings) -> None:
    """Raise SettingError where two settings do not fit each other."""
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if bool(key) != bool(secret):
        set_one, unset = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if secret:
            set_one, unset = unset, set_one
        raise SettingError(f"{unset} is not set, but {set_one} is: set both or neither")
    if settings.aws_session_token and not key:
        raise SettingError(
            "AWS_ACCESS_KEY_ID is not set, but AWS_SESSION_TOKEN is: it needs its key"
        )
    if not is_loopback(settings.server_host) and not settings.server_api_key:
        raise SettingError(
            f"SERVER_HOST={settings.server_host!r}: others can reach it, so SERVER_API_KEY is needed"
        )
