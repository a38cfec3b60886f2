"""Idle connections and too many connections: real sockets and short timeouts."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from server.streams.protocols import ConnectionLimits, WebSocketProtocol, http_protocol
from tests.support.server import DEADLINE, free_port
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.long

LIMITS = ConnectionLimits(total=8, per_address=3, idle_timeout=2.0)
LONG = 2 * LIMITS.idle_timeout
LARGE = 8_000_000
"""Bytes; more than the kernel buffers."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, /slow after the idle timeout, /large with LARGE bytes; accept WebSockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(LONG)
    body = bytes(LARGE) if scope["path"] == "/large" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def server() -> Iterator[uvicorn.Server]:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            port=free_port(),
            http=http_protocol(LIMITS),
            ws=WebSocketProtocol,
            # uvicorn's own timeout has no effect: idle_timeout holds instead.
            timeout_keep_alive=0,
            log_config=None,
            lifespan="off",
        )
    )
    sockets = [
        socket.create_server(("127.0.0.1", server.config.port)),
        socket.create_server(("::1", server.config.port), family=socket.AF_INET6),
    ]
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    wait_for(lambda: server.started)
    yield server
    server.should_exit = True
    thread.join(DEADLINE)
    assert not thread.is_alive()


@pytest.fixture
def port(server: uvicorn.Server) -> int:
    return server.config.port


def open_connection(port: int, address: str = "127.0.0.1") -> socket.socket:
    """Return a connection from this address of loopback."""
    host = "::1" if address == "::1" else "127.0.0.1"
    return socket.create_connection((host, port), DEADLINE, source_address=(address, 0))


def wait_for_connections(server: uvicorn.Server, expected: int) -> None:
    """Wait until the server has noticed that connections were opened or closed."""
    connections = server.server_state.connections
    wait_for(lambda: len(connections), lambda count: count == expected)


def answers(client: socket.socket) -> bool:
    """Return whether the server answers the request. Head and body may arrive apart."""
    received = b""
    while not received.endswith(b"ok"):
        data = client.recv(1000)
        if not data:
            return False
        received += data
    return True


def is_ended(client: socket.socket, trickle: bytes) -> bool:
    """Return whether the server closed the connection within 0.1 s after the client sent `trickle`."""
    client.settimeout(0.1)
    try:
        client.sendall(trickle)
        return not client.recv(1000)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [
        (b"", b""),
        (b"", b"G"),
        (REQUEST + b"GET / HTTP/1.1\r\nX-Endless: ", b"x"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b"x"),
    ],
    ids=["nothing", "endless first head", "endless second head", "unread body"],
)
def test_a_client_without_a_request_is_closed(port: int, sent: bytes, trickle: bytes) -> None:
    with open_connection(port) as client:
        client.sendall(sent)
        wait_for(lambda: is_ended(client, trickle), pause=0)


def test_a_client_that_sends_requests_in_time_stays_connected(port: int) -> None:
    with open_connection(port) as client, connect(f"ws://127.0.0.1:{port}/") as stream:
        began = time.monotonic()
        while time.monotonic() < began + LONG:
            client.sendall(REQUEST)
            assert answers(client)
            pass_time(LIMITS.idle_timeout / 5)
        client.sendall(REQUEST.replace(b"/", b"/slow", 1))
        assert answers(client)
        assert stream.ping().wait(DEADLINE)


def test_an_answer_may_be_read_slowly_but_a_client_that_reads_nothing_is_closed(
    server: uvicorn.Server, port: int
) -> None:
    question = REQUEST.replace(b"/", b"/large", 1)
    with open_connection(port) as client:
        client.sendall(question)
        began, received = time.monotonic(), 0
        while received < LARGE:
            pass_time(LONG / 40)
            data = client.recv(LARGE // 40)
            assert data, f"ended after {received} bytes"
            received += len(data)
        assert time.monotonic() - began > LONG
    wait_for_connections(server, 0)
    with open_connection(port) as client:
        client.sendall(question)
        wait_for_connections(server, 1)
        wait_for_connections(server, 0)


@pytest.mark.parametrize("proxy", ["127.0.0.1", "::1"])
def test_connections_are_limited_per_address_and_in_total(
    server: uvicorn.Server, port: int, proxy: str
) -> None:
    def is_served(address: str) -> bool:
        with open_connection(port, address) as client:
            try:
                client.sendall(REQUEST)
                return answers(client)
            except ConnectionError:
                return False

    with ExitStack() as opened:

        def follow(address: str) -> None:
            connection = open_connection(port, address)
            opened.enter_context(connect(f"ws://127.0.0.1:{port}/", sock=connection))

        wait_for_connections(server, 0)
        for _ in range(LIMITS.per_address):
            follow("127.0.0.2")
        assert not is_served("127.0.0.2")
        assert is_served("127.0.0.3")
        wait_for_connections(server, LIMITS.per_address)
        # These addresses may be a proxy of many clients, so they have no limit per address.
        for _ in range(LIMITS.total - LIMITS.per_address):
            follow(proxy)
        assert not is_served("127.0.0.3")
    wait_for(lambda: is_served("127.0.0.2"))


def extensions(server: uvicorn.Server, *offers: ClientPerMessageDeflateFactory) -> str | None:
    """Return the extension that the server accepted."""
    url = f"ws://127.0.0.1:{server.config.port}/"
    with connect(url, compression=None, extensions=offers or None) as client:
        assert client.response is not None
        return client.response.headers.get("Sec-WebSocket-Extensions")


def test_compression_without_context_is_agreed_with_clients_that_offer_it(
    server: uvicorn.Server,
) -> None:
    accepted = extensions(server, ClientPerMessageDeflateFactory())
    assert accepted is not None
    assert "permessage-deflate" in accepted and "server_no_context_takeover" in accepted
    assert extensions(server) is None


def test_a_client_that_demands_a_smaller_window_gets_no_compression(
    server: uvicorn.Server,
) -> None:
    assert extensions(server, ClientPerMessageDeflateFactory(server_max_window_bits=10)) is None
