"""Test opening a WebSocket, from the request for the endpoint to the handshake."""

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from websocket import WebSocketException
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from exchanges.binance import BINANCE
from exchanges.exchange import ExchangeError
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.open_socket import connect
from tests.support.exchange_clients import binance_client, kucoin_client
from tests.support.loopback import (
    bullet,
    http_server,
    token_of,
    until_closed,
    websocket_server,
)
from tests.support.sockets import (
    Talk,
    answers,
    dead_address,
    head_of,
    resolving_to,
    stays_silent,
    tcp_server,
)
from tests.support.waiting import pass_time

pytestmark = [pytest.mark.independent, pytest.mark.long]

OPEN_LIMIT = 0.5


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.receive.open_socket.OPEN_LIMIT", OPEN_LIMIT)


def refusing(
    status: int, body: str, headers: dict[str, str]
) -> Callable[[ServerConnection, Request], Response]:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(status, body)
        response.headers.update(headers)
        return response

    return refuse


def error_of(client: ExchangeClient) -> ExchangeError:
    with pytest.raises(ExchangeError) as error:
        connect(client)
    return error.value


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, "", "401"),
        (
            451,
            '{"code":0,"msg":"Service unavailable from a restricted location"}',
            "451 code 0: Service unavailable from a restricted location",
        ),
        (403, "<html><title>403</title><h1>Forbidden</h1></html>", "403: 403 Forbidden"),
        (503, "not now", "503: not now"),
    ],
)
def test_refused_handshake_is_named_by_status_code_and_message(
    status: int, body: str, reason: str
) -> None:
    with websocket_server(until_closed, refusing(status, body, {})) as url:
        error = error_of(binance_client(url))
    assert (error.cause, str(error)) == ("refused", f"refused: handshake answered {reason}")
    assert (error.at_once, error.retry_after) == (status == 401, 0.0)


def test_refused_handshake_without_a_length_is_named_by_its_status() -> None:
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.1 451 Unavailable For Legal Reasons\r\n\r\nnot from here")

    with tcp_server(talk) as port:
        error = error_of(binance_client(f"ws://127.0.0.1:{port}"))
    assert str(error) == "refused: handshake answered 451"


def test_refusal_that_repeats_the_address_shows_no_token() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(401, f"not with {request.path}, {token_of(connection)}")

    with websocket_server(until_closed, refuse) as ws_url:
        with http_server(lambda: bullet(ws_url, "secret")) as url:
            error = error_of(kucoin_client(url))
    assert str(error).startswith("refused: handshake answered 401: not with /?…")
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (418, {"Retry-After": "120"}, 120.0),
        (429, {"Retry-After": "7"}, 7.0),
        (429, {"gw-ratelimit-reset": "14000"}, 14.0),
        (429, {"Retry-After": "Sun, 22 Nov 2099 22:00:00 GMT"}, 259_200.0),
        (429, {"Retry-After": "99999999"}, 259_200.0),
        (403, {"Retry-After": "60"}, 60.0),
    ],
)
def test_handshake_that_was_banned_is_not_tried_again_before_the_ban_is_over(
    status: int, headers: dict[str, str], pause: float
) -> None:
    handshakes: list[str] = []

    def refuse(connection: ServerConnection, request: Request) -> Response:
        handshakes.append(request.path)
        return refusing(status, "", headers)(connection, request)

    with websocket_server(until_closed, refuse) as url:
        exchange = replace(BINANCE, reset_header="gw-ratelimit-reset")
        client = binance_client(url, url.replace("ws:", "http:"), exchange=exchange)
        assert error_of(client).retry_after == pause
        again = error_of(client)
        assert again.cause == "refused"
        assert max(0.0, pause - 60) < again.retry_after <= pause
        with pytest.raises(ExchangeError, match=r"^refused: no request for "):
            client.symbol_list()
    assert len(handshakes) == 1


def test_dead_first_address_costs_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with websocket_server(until_closed) as url:
        port = int(url.rpartition(":")[2])
        with dead_address("127.0.0.2", port):
            found = resolving_to(port, "127.0.0.2", "127.0.0.1")
            monkeypatch.setattr("socket.getaddrinfo", found)
            started = time.monotonic()
            _, opened = connect(binance_client(f"ws://exchange.example:{port}"))
            assert 0.25 <= time.monotonic() - started < 10
            opened.close()


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999\r\n\r\n"


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize(
    ("scheme", "talk"),
    [
        ("ws", stays_silent),
        ("ws", answers(*[b"H"] * 10_000, between=0.02)),
        ("ws", answers(SWITCHING, *[b"X-Y: z\r\n"] * 10_000, between=0.02)),
        ("ws", answers(FORBIDDEN, *[b"n"] * 10_000, between=0.02)),
        ("wss", stays_silent),
    ],
    ids=["silent", "status line", "headers", "refusal", "TLS handshake"],
)
def test_server_that_trickles_can_not_extend_the_deadline(scheme: str, talk: Talk) -> None:
    with tcp_server(talk) as port:
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.5 s$"):
            connect(binance_client(f"{scheme}://127.0.0.1:{port}"))
        assert OPEN_LIMIT <= time.monotonic() - started < 10


def test_token_and_handshake_have_one_deadline_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.receive.open_socket.OPEN_LIMIT", 4.0)

    def late_token() -> str:
        pass_time(3.6)
        return bullet(f"ws://127.0.0.1:{port}", "t")

    with tcp_server(stays_silent) as port, http_server(late_token) as url:
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no answer within 4 s$"):
            connect(kucoin_client(url))
        # Two consecutive deadlines would end after 7.6 s.
        assert 4.0 <= time.monotonic() - started < 7.5


def test_opened_websocket_outlives_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.receive.open_socket.OPEN_LIMIT", 2.0)

    def talk(connection: ServerConnection) -> None:
        pass_time(2.5)
        connection.send("[1]")
        until_closed(connection)

    with websocket_server(talk) as url:
        _, opened = connect(binance_client(url))
        assert next(opened.frames()) == b"[1]"
        opened.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 302 Found\r\nLocation: ws://other.example/\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"",
    ],
    ids=["page", "redirect", "half a handshake", "another protocol", "nothing"],
)
def test_answer_that_is_no_handshake_is_an_error(answer: bytes) -> None:
    with tcp_server(answers(answer)) as port:
        with pytest.raises((WebSocketException, ExchangeError, OSError)):
            connect(binance_client(f"ws://127.0.0.1:{port}"))
