"""Test which settings are accepted, how others are refused, and that no secret is ever shown."""

import traceback

import pytest

from core.settings import EXTRACTORS, SERVER, STACK, SettingError, Settings
from infra.paths import PROJECT
from infra.stack import LOCAL_KEYS

ENV_EXAMPLE = PROJECT / ".env.example"


def test_defaults_of_all_settings() -> None:
    assert Settings.from_environment(STACK, {}) == Settings()
    assert Settings().environment() == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "KAFKA_CLIENT_PROPERTIES": "",
        "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
        "S3_BUCKET": "cryptopricesrt",
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SESSION_TOKEN": "",
        "S3_CA_BUNDLE": "",
        "DATABASE_URL": "postgresql://crypto:password123@127.0.0.1:5432/cryptopricesrt",
        "READER_DATABASE_URL": "postgresql://reader:password123@127.0.0.1:5432/cryptopricesrt",
        "ADMIN_DATABASE_URL": "",
        "BINANCE_WS_URL": "wss://stream.binance.com:9443",
        "BINANCE_REST_URL": "https://api.binance.com",
        "KUCOIN_REST_URL": "https://api.kucoin.com",
        "BINANCE_SILENCE_LIMIT": "10.0",
        "KUCOIN_SILENCE_LIMIT": "15.0",
        "KUCOIN_BATCH_SECONDS": "1.0",
        "CONNECTION_AGE_LIMIT": "82800.0",
        "JOURNAL_DIR": ".stack/journal",
        "JOURNAL_LIMIT_BYTES": "10000000000",
        "LANDING_RETENTION_DAYS": "30",
        "RAW_RETENTION_DAYS": "30",
        "TICKERS_RETENTION_DAYS": "90",
        "LAKE_BATCH_SECONDS": "60",
        "CANDLES_RETENTION_DAYS": "90",
        "BACKFILL_1M_HOURS": "6",
        "BACKFILL_1H_DAYS": "30",
        "BACKFILL_1D_DAYS": "365",
        "METRICS_HOST": "127.0.0.1",
        "BINANCE_METRICS_PORT": "9101",
        "KUCOIN_METRICS_PORT": "9102",
        "LIVE_PRICES_METRICS_PORT": "9103",
        "RAW_ARCHIVE_METRICS_PORT": "9104",
        "PRICE_HISTORY_METRICS_PORT": "9105",
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_SHARED_PORT": "0",
        "SERVER_API_KEY": "",
        "SERVER_ORIGINS": "",
        "SERVER_STREAM_LIMIT": "2000",
        "SERVER_STREAM_LIMIT_PER_ADDRESS": "100",
        "BINANCE_PRICE_AGE_LIMIT": "30.0",
        "KUCOIN_PRICE_AGE_LIMIT": "30.0",
        "CHECKPOINT_DIR": ".stack/checkpoints",
        "STACK_DIR": "",
        "S3_CONSOLE_PORT": "9001",
        "KAFKA_CONTROLLER_PORT": "9093",
        "PROMETHEUS_PORT": "9090",
        "ALERTMANAGER_PORT": "9094",
        "ALERT_WEBHOOK_URL": "",
        "EXCHANGE_PORT": "8090",
        "EXCHANGE_KUCOIN_RATE": "2000",
    }


def test_env_example_lists_every_setting_once_with_its_default_and_the_local_keys() -> None:
    lines = ENV_EXAMPLE.read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]
    key, secret = LOCAL_KEYS
    local = Settings(aws_access_key_id=key, aws_secret_access_key=secret)
    expected = [f"{name}={value}" for name, value in local.environment().items()]
    of_compose = "POSTGRES_PASSWORD=password123"
    assert sorted(listed) == sorted([*expected, of_compose])


def test_settings_survive_the_way_through_the_environment() -> None:
    settings = Settings(
        kafka_bootstrap_servers="one:9092,[::1]:9192",
        s3_endpoint_url="https://s3.example.org",
        aws_access_key_id="me",
        aws_secret_access_key='it\'s "a" $HOME = #1',
        aws_session_token="a/b+c==",
        database_url="postgres://me:p%40ss@db.example.org/prices?sslmode=require",
        server_port=65535,
        exchange_port=1,
        stack_dir="/srv/stacks of mine",
    )
    binance = {"ws": "ws://127.0.0.1:1", "rest": "http://[::1]:65535"}
    settings = settings.with_exchange("binance", addresses=binance, metrics_port=1)
    settings = settings.with_exchange("kucoin", silence_limit=0.25, price_age_limit=1.5)
    assert Settings.from_environment(STACK, settings.environment()) == settings


def test_process_environment_is_read_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVER_PORT", "8123")
    assert Settings.from_environment(STACK).server_port == 8123


def test_empty_value_means_the_default() -> None:
    empty = dict.fromkeys(Settings().environment(), "")
    assert Settings.from_environment(STACK, empty) == Settings()


def test_variables_of_others_are_passed_over() -> None:
    assert Settings.from_environment(STACK, {"HOME": "/root", "server_port": "x"}) == Settings()


PORT = "expected a port from 1 to 65535"
DAYS = "expected a whole number from 1 to 3650"
RAW_DAYS = (
    "expected more than 7, Kafka's retention in days: a restart looks in raw/ for what is archived"
)
SECONDS = "expected a number of seconds greater than 0, up to 3600"
AGE = "expected a number of seconds greater than 0, up to 86400"
BYTES = "expected a whole number from 1 to 100000000000000"
HOST_PORTS = "expected host:port, or several separated by commas"
NO_SCHEME = (
    "expected host:port without a scheme; set security.protocol in the file that "
    "KAFKA_CLIENT_PROPERTIES names"
)
DATABASE = "expected postgresql://user:password@host:port/database"
HTTP = "expected http://host:port or https://host:port without a path, the port from 1 to 65535"
WS = "expected ws://host:port or wss://host:port without a path, the port from 1 to 65535"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SERVER_PORT", "http", PORT),
        ("SERVER_SHARED_PORT", "-1", f"{PORT}, or 0 for none"),
        ("SERVER_PORT", "0", PORT),
        ("RAW_RETENTION_DAYS", "0", DAYS),
        ("RAW_RETENTION_DAYS", "7", RAW_DAYS),
        ("SERVER_PORT", "65536", PORT),
        ("SERVER_PORT", "-1", PORT),
        ("SERVER_PORT", "80.0", PORT),
        ("SERVER_PORT", " 8000", PORT),
        ("EXCHANGE_PORT", "٨٠", PORT),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1", HOST_PORTS),
        ("KAFKA_BOOTSTRAP_SERVERS", ":9092", HOST_PORTS),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,two", HOST_PORTS),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,", HOST_PORTS),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:65536", PORT),
        ("KAFKA_BOOTSTRAP_SERVERS", "SASL_SSL://b.example:9092", NO_SCHEME),
        ("KAFKA_BOOTSTRAP_SERVERS", "one:9092,ssl://two:9092", NO_SCHEME),
        ("BINANCE_WS_URL", "wss://host:99999", WS),
        ("BINANCE_WS_URL", "wss://host:0", WS),
        ("BINANCE_WS_URL", "wss://host:port", WS),
        ("BINANCE_WS_URL", "wss://[::1:9443", WS),
        ("BINANCE_WS_URL", "https://stream.binance.com:9443", WS),
        ("BINANCE_WS_URL", "wss://stream.binance.com:9443/ws", WS),
        ("BINANCE_REST_URL", "api.binance.com", HTTP),
        ("BINANCE_REST_URL", "api.binance.com:443", HTTP),
        ("BINANCE_REST_URL", "https://api.binance.com/", HTTP),
        ("KUCOIN_REST_URL", "https://", HTTP),
        ("KUCOIN_REST_URL", "https://:443", HTTP),
        ("KUCOIN_REST_URL", "https://api.kucoin.com?a=b", HTTP),
        ("KUCOIN_REST_URL", "https://api.kucoin.com?", HTTP),
        ("S3_ENDPOINT_URL", "http://127.0.0.1:9000#here", HTTP),
        ("BINANCE_SILENCE_LIMIT", "0", SECONDS),
        ("KUCOIN_SILENCE_LIMIT", "-1", SECONDS),
        ("KUCOIN_SILENCE_LIMIT", "nan", SECONDS),
        ("KUCOIN_SILENCE_LIMIT", "1_0", SECONDS),
        ("KUCOIN_SILENCE_LIMIT", " 10", SECONDS),
        ("KUCOIN_SILENCE_LIMIT", "٣", SECONDS),
        ("BINANCE_SILENCE_LIMIT", "31536000", SECONDS),
        ("CONNECTION_AGE_LIMIT", "inf", AGE),
        ("CONNECTION_AGE_LIMIT", "23h", AGE),
        ("CONNECTION_AGE_LIMIT", "86401", AGE),
        ("JOURNAL_LIMIT_BYTES", "10GB", BYTES),
        ("JOURNAL_LIMIT_BYTES", "0", BYTES),
        ("JOURNAL_LIMIT_BYTES", "1" * 20, BYTES),
        ("LANDING_RETENTION_DAYS", "-1", DAYS),
        ("LANDING_RETENTION_DAYS", "100000000000", DAYS),
        ("RAW_RETENTION_DAYS", "3651", DAYS),
        ("CANDLES_RETENTION_DAYS", "9" * 5000, DAYS),
        ("BACKFILL_1D_DAYS", "3651", "expected a whole number from 0 to 3650"),
        ("KUCOIN_BATCH_SECONDS", "61", "expected a number of seconds greater than 0, up to 60"),
        ("LAKE_BATCH_SECONDS", "3601", "expected a whole number from 1 to 3600"),
        ("S3_ENDPOINT_URL", "s3a://127.0.0.1:9000", HTTP),
        (
            *("KUCOIN_REST_URL", "https://börse.com"),
            "expected a host in ASCII, such as xn--brse-5qa.com for börse.com",
        ),
        ("SERVER_ORIGINS", "*", HTTP),
        ("SERVER_ORIGINS", "https://one.example,https://two.example/", HTTP),
        ("SERVER_ORIGINS", "https://One.example", "expected lower case"),
        (
            *("SERVER_ORIGINS", "https://one.example:443"),
            "expected no port 80 of http or 443 of https: browsers leave it out",
        ),
        (
            "SERVER_HOST",
            "0.0.0.0",
            "others can reach it, so SERVER_API_KEY is needed",
        ),
    ],
)
def test_wrong_value_is_refused_by_name_and_value(name: str, value: str, reason: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(STACK, {name: value})
    assert str(refused.value) == f"{name}={value!r}: {reason}"


@pytest.mark.parametrize(
    "value", ["hooks.example.org/tr0ub4dor", "https:///tr0ub4dor", "https://a:0/tr0ub4dor"]
)
def test_wrong_webhook_is_refused_and_never_shown(value: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(STACK, {"ALERT_WEBHOOK_URL": value})
    assert str(refused.value) == (
        "ALERT_WEBHOOK_URL=(a secret, not shown): expected http:// or https:// and a host"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DATABASE_URL", "mysql://127.0.0.1/tr0ub4dor", DATABASE),
        ("READER_DATABASE_URL", "tr0ub4dor", DATABASE),
        ("S3_ENDPOINT_URL", "http://me:tr0ub4dor@127.0.0.1:9000", HTTP),
        ("KUCOIN_REST_URL", "https://me:tr0ub4dor@api.kucoin.com", HTTP),
        ("KAFKA_BOOTSTRAP_SERVERS", "me:tr0ub4dor@one:9092", HOST_PORTS),
    ],
)
def test_value_that_may_contain_a_password_is_refused_by_name_and_never_shown(
    name: str, value: str, reason: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(STACK, {name: value})
    assert str(refused.value) == f"{name}=(a secret, not shown): {reason}"
    assert "tr0ub4dor" not in "".join(traceback.format_exception(refused.value))


def test_values_at_an_end_of_their_range_are_accepted() -> None:
    ends = {
        "RAW_RETENTION_DAYS": "3650",
        "BACKFILL_1M_HOURS": "0",
        "CONNECTION_AGE_LIMIT": "86400",
        "KUCOIN_SILENCE_LIMIT": "3600.0",
        "JOURNAL_LIMIT_BYTES": "100000000000000",
    }
    settings = Settings.from_environment(STACK, ends)
    assert (settings.raw_retention_days, settings.backfill_1m_hours) == (3650, 0)
    assert (settings.connection_age_limit, settings.journal_limit_bytes) == (86_400, 10**14)
    assert settings.exchanges["kucoin"].silence_limit == 3600


def test_blanks_between_kafkas_addresses_are_left_out() -> None:
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "one:9092, [::1]:9192"}
    settings = Settings.from_environment(EXTRACTORS, environment)
    assert settings.kafka_bootstrap_servers == "one:9092,[::1]:9192"


@pytest.mark.parametrize("key", ["tr0ub4dor" * 3, "tr0ub4dor" * 3 + "     ", "tr0ub4dör" * 4])
def test_a_key_that_can_be_guessed_or_not_be_sent_is_refused_and_never_shown(key: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(STACK, {"SERVER_API_KEY": key})
    assert str(refused.value) == (
        "SERVER_API_KEY=(a secret, not shown): expected 32 or more ASCII characters without"
        " spaces, as from openssl rand -hex 32"
    )
    assert "tr0ub4d" not in "".join(traceback.format_exception(refused.value))


def test_with_a_key_the_server_may_listen_where_others_can_reach_it() -> None:
    settings = Settings.from_environment(
        STACK, {"SERVER_HOST": "0.0.0.0", "SERVER_API_KEY": "k" * 32}
    )

    assert settings.server_host == "0.0.0.0"
    assert "kkkk" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "me"},
            "AWS_SECRET_ACCESS_KEY is not set, but AWS_ACCESS_KEY_ID is: set both or neither",
        ),
        (
            {"AWS_SECRET_ACCESS_KEY": "tr0ub4dor", "AWS_SESSION_TOKEN": "tr0ub4dor"},
            "AWS_ACCESS_KEY_ID is not set, but AWS_SECRET_ACCESS_KEY is: set both or neither",
        ),
        (
            {"AWS_SESSION_TOKEN": "tr0ub4dor"},
            "AWS_ACCESS_KEY_ID is not set, but AWS_SESSION_TOKEN is: a token needs its key",
        ),
    ],
)
def test_half_of_the_object_stores_credentials_is_refused_by_name(
    environment: dict[str, str], reason: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment(EXTRACTORS, environment)
    assert str(refused.value) == reason
    # The server does not read them.
    assert Settings.from_environment(SERVER, environment) == Settings()


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
def test_on_loopback_no_key_is_needed(host: str) -> None:
    assert Settings.from_environment(STACK, {"SERVER_HOST": host}).server_host == host


def test_representation_shows_the_settings_but_no_secret() -> None:
    shown = repr(
        Settings(
            s3_bucket="prices",
            aws_secret_access_key="tr0ub4dor",
            aws_session_token="tr0ub4dor",
            database_url="postgresql://crypto:tr0ub4dor@127.0.0.1/prices",
            reader_database_url="postgresql://reader:tr0ub4dor@127.0.0.1/prices",
            alert_webhook_url="https://hooks.example.org/tr0ub4dor",
        )
    )
    assert "tr0ub4dor" not in shown
    assert "s3_bucket='prices'" in shown
    assert "kafka_bootstrap_servers='127.0.0.1:9092'" in shown
