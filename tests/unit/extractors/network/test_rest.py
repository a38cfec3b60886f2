"""Test requests to a REST server: a response, a refusal, or neither."""

import gzip
import socket
import time
from pathlib import Path

import pytest

from exchanges.exchange import ExchangeError
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.rest import ask
from tests.support.exchange_clients import NOWHERE
from tests.support.loopback import certificate, http_server, server_tls
from tests.support.sockets import Talk, answers, head_of, stays_silent, tcp_server
from tests.support.waiting import DEADLINE


def get(url: str, seconds: float = DEADLINE) -> str:
    return ask("GET", url, Ban(), Deadline(seconds))


def test_text_of_the_answer_comes_as_it_is() -> None:
    with http_server(lambda: '["BTCUSDT","币安人生USDT"]') as url:
        assert get(f"{url}/list") == '["BTCUSDT","币安人生USDT"]'


def test_request_names_path_query_and_host() -> None:
    heads: list[str] = []

    def talk(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with tcp_server(talk) as port:
        assert ask("POST", f"http://127.0.0.1:{port}/a/b?c=d", Ban(), Deadline(DEADLINE)) == "[]"
    [head] = heads
    request, *headers = head.splitlines()
    assert request == "POST /a/b?c=d HTTP/1.1"
    assert [each for each in headers if each.startswith("Host:")] == [f"Host: 127.0.0.1:{port}"]
    assert "Content-Length: 0" in headers


def test_compressed_answer_is_read() -> None:
    body = gzip.compress(b"[1,2]")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with tcp_server(answers(head.encode() + body)) as port:
        assert get(f"http://127.0.0.1:{port}/list") == "[1,2]"


def test_answer_that_is_too_long_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.network.rest.LONGEST_BODY", 5)
    with http_server(lambda: "[1,2]") as url:
        assert get(f"{url}/list") == "[1,2]"
    with http_server(lambda: "[1,23]") as url, pytest.raises(OSError, match="more than 5 bytes"):
        get(f"{url}/list")


def test_answer_in_chunks_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with tcp_server(answers(head, b"2\r\n[1\r\n", b"3\r\n,2]\r\n0\r\n\r\n")) as port:
        assert get(f"http://127.0.0.1:{port}/list") == "[1,2]"


@pytest.mark.parametrize("status", [301, 404, 418, 429, 500, 503])
def test_answer_that_is_no_success_is_named_by_path_and_status_and_not_repeated(
    status: int,
) -> None:
    asked: list[None] = []

    def body() -> str:
        asked.append(None)
        return ""

    with http_server(body, status) as url:
        with pytest.raises(ExchangeError) as error:
            get(f"{url}/api/v3/exchangeInfo?showPermissionSets=false")
    assert error.value.cause == "refused"
    assert str(error.value) == f"refused: /api/v3/exchangeInfo answered {status}"
    assert len(asked) == 1


def test_server_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1: Connection refused"):
        get(f"http://{NOWHERE}/list")


@pytest.mark.parametrize(
    "talk",
    [
        answers(),
        answers(b"SSH-2.0-OpenSSH_9.6\r\n"),
        answers(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n[]"),
        answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n[1"),
        answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000),
    ],
    ids=["nothing", "another protocol", "no gzip", "cut off", "endless header"],
)
def test_answer_that_is_no_http_is_an_os_error(talk: Talk) -> None:
    with tcp_server(talk) as port:
        with pytest.raises(OSError) as error:
            get(f"http://127.0.0.1:{port}/list")
    assert len(str(error.value)) < 300


TRICKLING = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", *[b"x"] * 10_000]


@pytest.mark.parametrize(
    "talk",
    [
        answers(*TRICKLING, between=0.02),
        answers(*[b"H"] * 10_000, between=0.02),
        stays_silent,
    ],
    ids=["body", "status line", "nothing"],
)
def test_server_that_trickles_can_not_extend_the_deadline(talk: Talk) -> None:
    with tcp_server(talk) as port:
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.4 s$"):
            get(f"http://127.0.0.1:{port}/list", 0.4)
        assert 0.4 <= time.monotonic() - started < 10


def test_tls_handshake_is_within_the_deadline() -> None:
    with tcp_server(stays_silent) as port:
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.4 s$"):
            get(f"https://127.0.0.1:{port}/list", 0.4)


def tls_server(pem: Path) -> Talk:
    context = server_tls(pem)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")(secure)

    return talk


def test_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path)
    with tcp_server(tls_server(pem)) as port:
        with pytest.raises(OSError, match="certificate verify failed"):
            get(f"https://127.0.0.1:{port}/list")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        assert get(f"https://127.0.0.1:{port}/list") == "[]"
