"""Read every setting of the project from the environment, and check it.

Each setting names the programs that read it. A program checks only the settings that it reads, so a
wrong setting of the server does not stop the extractors.

The settings of an exchange begin with its name; their defaults are in exchanges/.
`.env.example` lists the same names.
"""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import Enum, auto
from typing import Any, NamedTuple, Self

from core import setting_checks as check
from core.postgres_url import postgres_url
from exchanges import EXCHANGES
from exchanges.exchange import Exchange


class SettingError(ValueError):
    """Invalid value in the environment. The message has the name, and the value unless it may be secret."""


class Program(Enum):
    """Program that reads settings. EXCHANGE is the replay exchange.

    STACK reads all settings, because it starts the others.
    """

    EXTRACTORS = auto()
    JOBS = auto()
    SERVER = auto()
    EXCHANGE = auto()
    STACK = auto()


EXTRACTORS, JOBS, SERVER, EXCHANGE, STACK = Program

MAX_DAYS = 3650
"""Maximum of settings in days."""


def is_loopback(host: str) -> bool:
    """Return whether a host is localhost or a loopback address such as 127.0.0.1 or ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Definition(NamedTuple):
    """Conversion of a setting, and the programs that read it. `convert` raises ValueError."""

    convert: Callable[[str], Any]
    programs: frozenset[Program]
    is_secret: bool


def _defined(
    convert: Callable[[str], Any], *programs: Program, is_secret: bool = False
) -> Definition:
    return Definition(convert, frozenset({*programs, STACK}), is_secret)


def _setting(
    default: str | float, convert: Callable[[str], Any], *programs: Program, secret: bool = False
) -> Any:
    definition = _defined(convert, *programs, is_secret=secret)
    return field(default=default, repr=not secret, metadata={"definition": definition})


def _of_exchange(convert: Callable[[str], Any], program: Program) -> Any:
    return field(metadata={"definition": _defined(convert, program)})


Read = Callable[[str, Any, Definition], Any]
"""Function that returns a setting's value, given its name in the environment, default and definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """Settings of one exchange: KUCOIN_SILENCE_LIMIT is `silence_limit` of KuCoin."""

    addresses: Mapping[str, str]
    """KUCOIN_REST_URL is `addresses["rest"]` of KuCoin."""
    silence_limit: float = _of_exchange(check.seconds(3600), EXTRACTORS)
    batch_seconds: float = _of_exchange(check.seconds(60), EXTRACTORS)
    """0, and not configurable, if each frame of the exchange is a batch."""
    metrics_port: int = _of_exchange(check.port, EXTRACTORS)
    price_age_limit: float = _of_exchange(check.seconds(86_400), SERVER)

    @classmethod
    def read(cls, exchange: Exchange, read: Read) -> Self:
        """Return the settings of an exchange. Defaults come from its description."""
        prefix = exchange.name.upper()
        addresses = {
            key: read(f"{prefix}_{key.upper()}_URL", url, _defined(check.base_of(url), EXTRACTORS))
            for key, url in exchange.addresses.items()
        }
        values = {}
        # All fields but `addresses`. A default of 0 can't be configured.
        for each in fields(cls)[1:]:
            values[each.name] = default = getattr(exchange, each.name)
            if default:
                name = f"{prefix}_{each.name.upper()}"
                values[each.name] = read(name, default, each.metadata["definition"])
        return cls(addresses=addresses, **values)


def _default(name: str, default: Any, definition: Definition) -> Any:
    return default


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. The name in the environment is the field's name in capitals."""

    kafka_bootstrap_servers: str = _setting("127.0.0.1:9092", check.host_ports, EXTRACTORS, JOBS)
    kafka_client_properties: str = _setting("", check.client_properties, EXTRACTORS, JOBS)
    s3_endpoint_url: str = _setting(
        "http://127.0.0.1:9000", check.http_base, EXTRACTORS, JOBS, EXCHANGE
    )
    s3_bucket: str = _setting("cryptopricesrt", check.text, EXTRACTORS, JOBS)
    s3_ca_bundle: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE)
    """Not AWS_CA_BUNDLE: botocore, which reads that too, refuses an empty value."""
    aws_access_key_id: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE)
    aws_secret_access_key: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE, secret=True)
    aws_session_token: str = _setting("", check.text, EXTRACTORS, JOBS, EXCHANGE, secret=True)
    database_url: str = _setting(
        "postgresql://crypto:password123@127.0.0.1:5432/cryptopricesrt",
        postgres_url,
        JOBS,
        secret=True,
    )
    reader_database_url: str = _setting(
        "postgresql://reader:password123@127.0.0.1:5432/cryptopricesrt",
        postgres_url,
        SERVER,
        secret=True,
    )
    admin_database_url: str = _setting("", postgres_url, secret=True)
    """Login that creates the database and the roles; empty if DATABASE_URL's role may do so."""
    exchanges: Mapping[str, ExchangeSettings] = field(
        default_factory=lambda: {
            each.name: ExchangeSettings.read(each, _default) for each in EXCHANGES
        }
    )
    """By the exchange's name."""
    connection_age_limit: float = _setting(23 * 3600.0, check.seconds(86_400), EXTRACTORS)
    journal_dir: str = _setting(".stack/journal", check.text, EXTRACTORS)
    journal_limit_bytes: int = _setting(10_000_000_000, check.count(10**14), EXTRACTORS)
    landing_retention_days: int = _setting(30, check.count(MAX_DAYS))
    raw_retention_days: int = _setting(30, check.raw_days(MAX_DAYS), JOBS)
    tickers_retention_days: int = _setting(90, check.count(MAX_DAYS), JOBS)
    lake_batch_seconds: int = _setting(60, check.count(3600), JOBS)
    candles_retention_days: int = _setting(90, check.count(MAX_DAYS), JOBS)
    backfill_1m_hours: int = _setting(6, check.count(24 * 365, minimum=0), EXTRACTORS)
    backfill_1h_days: int = _setting(30, check.count(MAX_DAYS, minimum=0), EXTRACTORS)
    backfill_1d_days: int = _setting(365, check.count(MAX_DAYS, minimum=0), EXTRACTORS)
    metrics_host: str = _setting("127.0.0.1", check.text, EXTRACTORS, JOBS)
    live_prices_metrics_port: int = _setting(9103, check.port, JOBS)
    raw_archive_metrics_port: int = _setting(9104, check.port, JOBS)
    price_history_metrics_port: int = _setting(9105, check.port, JOBS)
    server_host: str = _setting("127.0.0.1", check.text, SERVER)
    server_port: int = _setting(8000, check.port, SERVER)
    server_shared_port: int = _setting(0, check.port_or_none, SERVER)
    """A port that several servers share, besides each one's own; 0 if there is none."""
    server_api_key: str = _setting("", check.key, SERVER, secret=True)
    server_origins: str = _setting("", check.origins, SERVER)
    server_stream_limit: int = _setting(2000, check.count(1_000_000), SERVER)
    server_stream_limit_per_address: int = _setting(100, check.count(1_000_000), SERVER)
    checkpoint_dir: str = _setting(".stack/checkpoints", check.text, JOBS)
    stack_dir: str = _setting("", check.text)
    s3_console_port: int = _setting(9001, check.port)
    kafka_controller_port: int = _setting(9093, check.port)
    prometheus_port: int = _setting(9090, check.port)
    alertmanager_port: int = _setting(9094, check.port)
    alert_webhook_url: str = _setting("", check.http_url, secret=True)
    """URL to which Alertmanager posts alerts; a secret, because it may contain a token."""
    exchange_port: int = _setting(8090, check.port, EXCHANGE)
    exchange_kucoin_rate: int = _setting(2000, check.count(1_000_000), EXCHANGE)
    """Simulated KuCoin frames per second. A lower rate makes the demo cheaper."""

    @property
    def candles_retention(self) -> timedelta:
        return timedelta(days=self.candles_retention_days)

    @classmethod
    def from_environment(
        cls, program: Program, environment: Mapping[str, str] = os.environ
    ) -> Self:
        """Return the settings that `program` reads; all others keep their defaults.

        Raise SettingError at the first invalid value. Values of secrets are never shown.
        """

        def read(name: str, default: Any, definition: Definition) -> Any:
            value = environment.get(name, "")
            if not value or program not in definition.programs:
                return default
            try:
                return definition.convert(value)
            except ValueError as error:
                # Before an @ there may be a password, even where none belongs.
                is_secret = definition.is_secret or "@" in value
                shown = "(a secret, not shown)" if is_secret else repr(value)
                raise SettingError(f"{name}={shown}: {error}") from error

        settings = cls.read(read)
        _check_together(settings)
        return settings

    @classmethod
    def read(cls, read: Read) -> Self:
        """Return the settings, each as `read` returns it."""
        values = {
            each.name: read(each.name.upper(), each.default, each.metadata["definition"])
            for each in fields(cls)
            if each.metadata
        }
        exchanges = {each.name: ExchangeSettings.read(each, read) for each in EXCHANGES}
        return cls(exchanges=exchanges, **values)

    def environment(self, program: Program = STACK) -> dict[str, str]:
        """Return the settings that `program` reads as environment variables."""
        names = [name for name, each in definitions().items() if program in each.programs]
        values = {name: getattr(self, name.lower(), None) for name in names}
        for exchange, settings in self.exchanges.items():
            prefix = exchange.upper()
            urls = {f"{key}_URL": url for key, url in settings.addresses.items()}
            others = {each.name: getattr(settings, each.name) for each in fields(settings)}
            values |= {f"{prefix}_{n.upper()}": value for n, value in (urls | others).items()}
        return {name: str(values[name]) for name in names}

    def with_exchange(self, name: str, **changes: Any) -> Self:
        """Return the settings with changed values for one exchange."""
        changed = replace(self.exchanges[name], **changes)
        return replace(self, exchanges={**self.exchanges, name: changed})

    def with_all_exchanges_at(self, address: str) -> Self:
        """Return the settings with every address of every exchange at `host:port`, without TLS."""
        settings = self
        for name, own in self.exchanges.items():
            addresses = {
                key: f"{check.plain_scheme(url)}://{address}" for key, url in own.addresses.items()
            }
            settings = settings.with_exchange(name, addresses=addresses)
        return settings


def definitions() -> dict[str, Definition]:
    """Return every setting by its name in the environment."""
    found: dict[str, Definition] = {}

    def note(name: str, default: Any, definition: Definition) -> Any:
        found[name] = definition
        return default

    Settings.read(note)
    return found


def _check_together(settings: Settings) -> None:
    """Raise SettingError if two settings contradict each other."""
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if bool(key) != bool(secret):
        set_one, unset = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if secret:
            set_one, unset = unset, set_one
        raise SettingError(f"{unset} is not set, but {set_one} is: set both or neither")
    if settings.aws_session_token and not key:
        raise SettingError(
            "AWS_ACCESS_KEY_ID is not set, but AWS_SESSION_TOKEN is: a token needs its key"
        )
    if not is_loopback(settings.server_host) and not settings.server_api_key:
        raise SettingError(
            f"SERVER_HOST={settings.server_host!r}: others can reach it, so SERVER_API_KEY is needed"
        )
