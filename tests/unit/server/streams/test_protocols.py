"""Connections that ask for nothing, and too many of them: real sockets, and limits to wait for."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from server.streams.protocols import ConnectionLimits, WebSocketProtocol, http_protocol
from tests.support.server import DEADLINE, free_port
from tests.support.waiting import pass_time, wait_for

LIMITS = ConnectionLimits(in_all=6, per_address=3, ask_within=0.8)
LONG = 2 * LIMITS.ask_within
LARGE = 8_000_000
"""Bytes: more than the kernel takes ahead."""

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once, but /slow later than a client may be idle, and /large with LARGE bytes; a
    WebSocket is opened.
    """
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
            log_config=None,
            lifespan="off",
        )
    )
    thread = threading.Thread(target=server.run)
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
    return socket.create_connection(("127.0.0.1", port), DEADLINE, source_address=(address, 0))


def is_ended(client: socket.socket, trickle: bytes) -> bool:
    """Whether the server ended the connection within 0.1 s after the client said one more byte."""
    client.settimeout(0.1)
    try:
        client.sendall(trickle)
        return not client.recv(1000)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("said", "trickle"),
    [
        (b"", b""),
        (b"", b"G"),
        (REQUEST + b"GET / HTTP/1.1\r\nX-Endless: ", b"x"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b"x"),
    ],
    ids=["nothing", "a first head without end", "a second one", "a body that nobody reads"],
)
def test_who_asks_for_nothing_is_ended(port: int, said: bytes, trickle: bytes) -> None:
    with open_connection(port) as client:
        client.sendall(said)
        wait_for(lambda: is_ended(client, trickle), pause=0)


def test_who_asks_in_time_is_served_for_as_long_as_it_takes(port: int) -> None:
    with open_connection(port) as client, connect(f"ws://127.0.0.1:{port}/") as stream:
        began = time.monotonic()
        while time.monotonic() < began + LONG:
            client.sendall(REQUEST)
            assert client.recv(1000).endswith(b"ok")
            pass_time(LIMITS.ask_within / 5)
        client.sendall(REQUEST.replace(b"/", b"/slow", 1))
        assert client.recv(1000).endswith(b"ok")
        stream.ping().wait(DEADLINE)


def test_an_answer_may_be_read_slowly_but_not_forever(server: uvicorn.Server, port: int) -> None:
    question = REQUEST.replace(b"/", b"/large", 1)
    with open_connection(port) as client:
        client.sendall(question)
        began, heard = time.monotonic(), 0
        while heard < LARGE:
            pass_time(LONG / 40)
            data = client.recv(LARGE // 40)
            assert data, f"ended after {heard} bytes"
            heard += len(data)
        assert time.monotonic() - began > LONG
    with open_connection(port) as client:
        client.sendall(question)
        connections = server.server_state.connections
        wait_for(lambda: len(connections))
        wait_for(lambda: len(connections), lambda count: count == 0)


def test_one_address_has_so_many_connections_and_all_together_so_many(
    server: uvicorn.Server, port: int
) -> None:
    def is_served(address: str) -> bool:
        with open_connection(port, address) as client:
            try:
                client.sendall(REQUEST)
                return client.recv(1000).endswith(b"ok")
            except ConnectionError:
                return False

    with ExitStack() as opened:

        def follow(address: str) -> None:
            connection = open_connection(port, address)
            opened.enter_context(connect(f"ws://127.0.0.1:{port}/", sock=connection))

        def wait_for_connections(expected: int) -> None:
            """The server learns late that a client has closed its connection."""
            connections = server.server_state.connections
            wait_for(lambda: len(connections), lambda count: count == expected)

        wait_for_connections(0)
        for _ in range(LIMITS.per_address):
            follow("127.0.0.2")
        assert not is_served("127.0.0.2")
        assert is_served("127.0.0.3")
        wait_for_connections(LIMITS.per_address)
        # There a proxy may stand, which speaks for many.
        for _ in range(LIMITS.in_all - LIMITS.per_address):
            follow("127.0.0.1")
        assert not is_served("127.0.0.3")
    wait_for(lambda: is_served("127.0.0.2"))
