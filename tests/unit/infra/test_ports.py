"""Test which ports the stack uses, and the error messages for busy ones."""

import os
import socket
from dataclasses import replace
from threading import Timer

import psutil
import pytest

from core.settings import Settings
from infra import ports as ports_module
from infra.ports import Port, PortError, address_of_url, free_ports, of_settings, refuse_busy


def test_ports_of_the_stack_carry_the_settings_that_move_them() -> None:
    assert list(of_settings(Settings())) == [
        Port("Kafka", "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1", 9092),
        Port("Kafka's controller", "KAFKA_CONTROLLER_PORT", "127.0.0.1", 9093),
        Port("MinIO", "S3_ENDPOINT_URL", "127.0.0.1", 9000),
        Port("MinIO's console", "S3_CONSOLE_PORT", "127.0.0.1", 9001),
        Port("Postgres", "DATABASE_URL", "127.0.0.1", 5432),
        Port("Binance's metrics", "BINANCE_METRICS_PORT", "127.0.0.1", 9101),
        Port("KuCoin's metrics", "KUCOIN_METRICS_PORT", "127.0.0.1", 9102),
        Port("live_prices's metrics", "LIVE_PRICES_METRICS_PORT", "127.0.0.1", 9103),
        Port("raw_archive's metrics", "RAW_ARCHIVE_METRICS_PORT", "127.0.0.1", 9104),
        Port("price_history's metrics", "PRICE_HISTORY_METRICS_PORT", "127.0.0.1", 9105),
        Port("the server", "SERVER_PORT", "127.0.0.1", 8000),
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("127.0.0.1:9092", ("127.0.0.1", 9092)),
        ("http://localhost:9000", ("localhost", 9000)),
        ("postgresql://crypto:password123@127.0.0.1:5432/cryptopricesrt", ("127.0.0.1", 5432)),
        ("[::1]:9092", ("::1", 9092)),
    ],
)
def test_host_and_port_are_read_from_urls_and_from_host_ports(
    url: str, expected: tuple[str, int]
) -> None:
    assert address_of_url("URL", url) == expected


def test_url_without_a_port_is_refused_and_its_password_not_shown() -> None:
    with pytest.raises(PortError, match=r"DATABASE_URL: .*127\.0\.0\.1.* has no port$") as refused:
        address_of_url("DATABASE_URL", "postgresql://crypto:tr0ub4dor@127.0.0.1/cryptopricesrt")
    assert "tr0ub4dor" not in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", Settings(kafka_bootstrap_servers="data.example.org:9092")),
        ("S3_ENDPOINT_URL", Settings(s3_endpoint_url="https://data.example.org:443")),
        ("DATABASE_URL", Settings(database_url="postgresql://me:pw@data.example.org:5432/prices")),
    ],
)
def test_service_that_is_not_on_loopback_is_refused_by_name(
    setting: str, settings: Settings
) -> None:
    with pytest.raises(PortError) as refused:
        list(of_settings(settings))
    assert str(refused.value) == (
        f"{setting} points at data.example.org: the local stack listens on loopback only. "
        "To use services that run elsewhere, start the jobs and extractors by hand"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "loopback"])
def test_only_loopback_is_loopback(host: str) -> None:
    with pytest.raises(PortError, match=f"^KAFKA_BOOTSTRAP_SERVERS points at {host}: "):
        list(of_settings(Settings(kafka_bootstrap_servers=f"{host}:9092")))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2"])
def test_every_loopback_address_is_accepted(host: str) -> None:
    settings = Settings(kafka_bootstrap_servers=f"{host}:9092")
    assert next(of_settings(settings)).host == host


def test_busy_ports_are_refused_by_service_number_setting_and_holder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports_module, "BUSY_TIMEOUT", 0.2)
    (free,) = free_ports(1)
    with (
        socket.create_server(("127.0.0.1", 0)) as console,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        busy = console.getsockname()[1], server.getsockname()[1]
        ports = [
            Port("MinIO's console", "S3_CONSOLE_PORT", "127.0.0.1", busy[0]),
            Port("Kafka", "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1", free),
            Port("the server", "SERVER_PORT", "127.0.0.1", busy[1]),
        ]
        with pytest.raises(PortError) as refused:
            refuse_busy(iter(ports))
    holder = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert str(refused.value).splitlines() == [
        f"port {busy[0]} of MinIO's console is taken by {holder}: "
        "stop it, or set another port in S3_CONSOLE_PORT",
        f"port {busy[1]} of the server is taken by {holder}: "
        "stop it, or set another port in SERVER_PORT",
    ]


def test_port_of_a_program_that_is_just_ending_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports_module, "BUSY_TIMEOUT", 60.0)
    with socket.create_server(("127.0.0.1", 0)) as ending:
        port = Port("Kafka", "KAFKA_BOOTSTRAP_SERVERS", *ending.getsockname())
        end = Timer(0.5, ending.close)
        end.start()
        refuse_busy(iter([port]))
        end.join()


def test_address_that_is_not_this_machines_is_refused_by_setting() -> None:
    # 192.0.2.0/24 is reserved for documentation (RFC 5737).
    port = Port("the server", "SERVER_PORT", "192.0.2.1", 8000)
    with pytest.raises(PortError, match=r"^SERVER_PORT: can't listen on 192\.0\.2\.1:8000: Cannot"):
        refuse_busy(iter([port]))


def test_free_ports_are_different_and_free() -> None:
    numbers = free_ports(20)
    assert len(set(numbers)) == 20
    template = Port("Kafka", "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1", 0)
    refuse_busy(replace(template, number=number) for number in numbers)
