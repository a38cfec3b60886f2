"""Test a connection that is kept for several requests."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from exchanges.exchange import ExchangeError
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.rest import RestConnection
from tests.support.loopback import certificate, server_tls
from tests.support.sockets import Talk, head_of, stays_silent, tcp_server
from tests.support.waiting import DEADLINE


def answering(connections: list[int], *answers: bytes) -> Talk:
    """Return a talk that sends one answer per request, and counts the requests of each connection."""

    def talk(connection: socket.socket) -> None:
        number = len(connections)
        connections.append(0)
        for answer in answers:
            head_of(connection)
            connections[number] += 1
            connection.sendall(answer)

    return talk


def ok(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def test_requests_share_one_connection_also_after_a_refusal() -> None:
    connections: list[int] = []
    refused = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"
    with (
        tcp_server(answering(connections, ok(b"[1]"), refused, ok(b"[3]"))) as port,
        closing(RestConnection(Ban())) as kept,
    ):
        url = f"http://127.0.0.1:{port}/list"
        assert kept.ask("GET", f"{url}?a=1", Deadline(DEADLINE)) == "[1]"
        with pytest.raises(ExchangeError, match="/list answered 400"):
            kept.ask("GET", f"{url}?a=2", Deadline(DEADLINE))
        assert kept.ask("GET", f"{url}?a=3", Deadline(DEADLINE)) == "[3]"
    assert connections == [3]


@pytest.mark.parametrize(
    "answer",
    [ok(b"[1]", b"Connection: close"), b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n[1]"],
    ids=["HTTP/1.1", "HTTP/1.0"],
)
def test_a_connection_that_the_server_closes_is_replaced(answer: bytes) -> None:
    connections: list[int] = []
    with (
        tcp_server(answering(connections, answer)) as port,
        closing(RestConnection(Ban())) as kept,
    ):
        url = f"http://127.0.0.1:{port}/list"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
    assert connections == [1, 1]


def test_a_connection_that_was_lost_is_an_os_error_and_the_next_request_opens_a_new_one() -> None:
    connections: list[int] = []
    with (
        tcp_server(answering(connections, ok(b"[1]"))) as port,
        closing(RestConnection(Ban())) as kept,
    ):
        url = f"http://127.0.0.1:{port}/list"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
        with pytest.raises(OSError):
            kept.ask("GET", url, Deadline(DEADLINE))
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
    assert connections == [1, 1]


def test_a_deadline_ends_a_request_on_a_kept_connection() -> None:
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(ok(b"[1]"))
        stays_silent(connection)

    with tcp_server(talk) as port, closing(RestConnection(Ban())) as kept:
        url = f"http://127.0.0.1:{port}/list"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
        with pytest.raises(TimeoutError, match=r"no answer within 0.2 s"):
            kept.ask("GET", url, Deadline(0.2))


def test_tls_is_kept_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    tls = server_tls(pem)
    connections: list[int] = []
    talk = answering(connections, ok(b"[1]"), ok(b"[2]"))

    def talk_tls(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as encrypted:
            talk(encrypted)

    with tcp_server(talk_tls) as port, closing(RestConnection(Ban())) as kept:
        url = f"https://127.0.0.1:{port}/list"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[1]"
        assert kept.ask("GET", url, Deadline(DEADLINE)) == "[2]"
    assert connections == [2]
