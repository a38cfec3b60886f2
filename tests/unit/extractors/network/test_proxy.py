"""Test the proxy in the environment, and the tunnel through it."""

import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection

from core.settings import SettingError
from exchanges.exchange import ConfigurationError
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.proxy import Proxy, proxy_of
from extractors.network.rest import ask
from extractors.receive.open_socket import connect
from tests.support.exchange_clients import binance_client
from tests.support.loopback import (
    certificate,
    http_server,
    server_tls,
    until_closed,
    websocket_server,
)
from tests.support.small_proxy import small_proxy
from tests.support.sockets import tcp_server
from tests.support.waiting import DEADLINE

BINANCE = "wss://stream.binance.com:9443"
KUCOIN = "https://api.kucoin.com"
PLAIN = "http://10.1.2.3:8080"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("url", [BINANCE, KUCOIN])
def test_https_and_wss_use_the_proxy_of_encrypted_or_all_connections(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_of(url) == Proxy("proxy.example", 3128)


def test_variable_of_the_scheme_goes_before_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://socks.example:1080")
    monkeypatch.setenv("HTTPS_PROXY", "http://secure.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example:3128")
    assert [proxy_of(url) for url in (BINANCE, KUCOIN, PLAIN, "ws://exchange.example")] == [
        Proxy("secure.example", 3128),
        Proxy("secure.example", 3128),
        Proxy("plain.example", 3128),
        Proxy("plain.example", 3128),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("HTTP://[::1]:8888/", Proxy("::1", 8888)),
        ("http://u:p%40ss@proxy.example:1", Proxy("proxy.example", 1, "Basic dTpwQHNz")),
        ("http://u@proxy.example:1", Proxy("proxy.example", 1, "Basic dTo=")),
        ("", None),
    ],
)
def test_address_of_a_proxy_is_read(
    value: str, expected: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert proxy_of(KUCOIN) == expected


@pytest.mark.parametrize(
    "no_proxy",
    ["*", "10.1.2.3", "10.0.0.0/8", "x.example, 10.1.0.0/16", ".binance.com,.kucoin.com,10.1.2.3"],
)
def test_no_proxy_names_hosts_domains_and_networks(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_of(PLAIN) is None


@pytest.mark.parametrize("no_proxy", ["binance.com", ".binance.com", "stream.binance.com"])
def test_no_proxy_names_one_exchange_and_not_the_other(
    no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert [proxy_of(BINANCE), proxy_of(KUCOIN)] == [None, Proxy("proxy.example", 3128)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_is_never_asked_for_through_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert proxy_of(f"ws://{host}:9001") is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks5://u:s3cret@proxy.example:1080", "kind socks5:// is not supported"),
        ("socks5h://proxy.example", "kind socks5h:// is not supported"),
        ("socks4://proxy.example", "kind socks4:// is not supported"),
        ("https://u:s3cret@proxy.example", "kind https:// is not supported"),
        ("http://u:s3cret@proxy.example:x", "expected http://host:port"),
        ("http://u:s3cret@proxy.example:99999", "expected http://host:port"),
        ("http://u:s3cret@", "expected http://host:port"),
        ("http://[u:s3cret@", "expected http://host:port"),
    ],
)
def test_proxy_that_can_not_be_used_is_refused_by_its_variable_without_its_password(
    value: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(SettingError) as refused:
        proxy_of(BINANCE)
    assert str(refused.value).startswith("ALL_PROXY: ") and problem in str(refused.value)
    assert "s3cret" not in str(refused.value)
    # An invalid proxy does not matter for a loopback address.
    assert proxy_of("ws://127.0.0.1:9001") is None


def test_password_is_not_in_a_proxys_repr() -> None:
    assert "dTpwQHNz" not in repr(Proxy("proxy.example", 1, "Basic dTpwQHNz"))


def test_unusable_proxy_is_no_reason_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(ConfigurationError, match=r"^unreachable: HTTPS_PROXY: "):
        connect(binance_client(BINANCE))


def test_process_with_an_unusable_proxy_ends_for_good_and_says_why() -> None:
    own = {"KUCOIN_REST_URL": KUCOIN, "ALL_PROXY": "socks5://u:s3cret@proxy.example:1080"}
    ended = subprocess.run(
        [sys.executable, "-m", "extractors", "kucoin"],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        "ALL_PROXY: a proxy of kind socks5:// is not supported. Set an HTTP proxy, or add the"
        " exchange's host to NO_PROXY\n"
    )


def get(url: str) -> str:
    return ask("GET", url, Ban(), Deadline(DEADLINE))


def address_in(url: str) -> str:
    return url.rpartition("/")[2]


def test_rest_goes_through_the_proxy_which_alone_knows_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with http_server(lambda: "[1]") as url:
        with small_proxy({"exchange.invalid:80": address_in(url)}, "u:p@ss") as proxy:
            monkeypatch.setenv("HTTP_PROXY", f"http://u:p%40ss@127.0.0.1:{proxy.port}")
            assert get("http://exchange.invalid/list") == "[1]"
    assert proxy.targets == ["exchange.invalid:80"]


def test_websocket_goes_through_the_proxy_which_alone_knows_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts: list[str] = []

    def talk(connection: ServerConnection) -> None:
        assert connection.request is not None
        hosts.append(connection.request.headers["Host"])
        connection.send("[1]")
        until_closed(connection)

    with websocket_server(talk) as url:
        with small_proxy({"exchange.invalid:9443": address_in(url)}) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
            endpoint, opened = connect(binance_client("ws://exchange.invalid:9443"))
            assert next(opened.frames()) == b"[1]"
            opened.close()
    assert (endpoint.host, hosts) == ("exchange.invalid", ["exchange.invalid:9443"])
    assert proxy.targets == ["exchange.invalid:9443"]


def test_tls_is_with_the_exchange_and_not_with_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setattr("extractors.network.proxy.is_loopback", lambda host: False)
    with websocket_server(until_closed, tls=server_tls(pem)) as url:
        address = address_in(url)
        with small_proxy({address: address}) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            _, opened = connect(binance_client(url))
            assert isinstance(opened.sock, ssl.SSLSocket)
            opened.close()
    assert proxy.targets == [address]


@pytest.mark.parametrize(
    ("credentials", "refusal", "answer"),
    [
        ("u:other", "", "answered 407 Proxy Authentication Required"),
        ("", "403 Forbidden", "answered 403 Forbidden"),
        ("", "", "answered 502 Bad Gateway"),
    ],
)
def test_tunnel_that_a_proxy_refuses_is_named_with_the_proxy_and_its_answer(
    credentials: str, refusal: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_proxy({}, credentials, refusal) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://u:s3cret@127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectionError) as error:
            get("http://exchange.invalid/list")
    assert str(error.value) == (
        f"proxy 127.0.0.1:{proxy.port} {answer} to CONNECT exchange.invalid:80"
    )


def test_proxy_of_another_protocol_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(1_000)
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    with tcp_server(talk) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionError, match=rf"^proxy 127\.0\.0\.1:{port}: BadStatusLine"):
            get("http://exchange.invalid/list")
