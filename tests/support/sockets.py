"""Run plain TCP servers on loopback, and a listener that never accepts; resolve host names to them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from socketserver import BaseServer
from threading import Thread

from tests.support.waiting import pass_time

Talk = Callable[[socket.socket], None]

CONNECTIONS_TO_FILL = 2
"""Connections that fill a listener with a backlog of 0: one that the kernel accepts, and one more."""


@contextmanager
def tcp_server(talk: Talk, host: str = "127.0.0.1") -> Iterator[int]:
    """Yield the port. Run `talk` in a separate thread per connection, then close the connection."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                opened.append(connection)
                threads.append(Thread(target=serve, args=(connection,)))
                threads[-1].start()

    opened: list[socket.socket] = []
    threads = [Thread(target=accept)]
    with socket.create_server((host, 0)) as listener:
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            shut_down(listener)
            threads[0].join()
            for connection in opened:
                shut_down(connection)
            for thread in threads:
                thread.join()


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Run a server of the standard library in a thread for the block, then close it."""
    with server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def shut_down(connection: socket.socket) -> None:
    """Shut a connection down, which wakes threads blocked on it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def dead_address(host: str, port: int = 0) -> Iterator[int]:
    """Yield a port where connecting neither succeeds nor fails: the listener's backlog is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(CONNECTIONS_TO_FILL):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def head_of(connection: socket.socket) -> str:
    """Return the head of a request, up to its empty line."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := connection.recv(1)):
            raise ConnectionError(f"closed after {head!r}")
        head += byte
    return head.decode()


def answers(*parts: bytes, between: float = 0.0) -> Talk:
    """Return a talk that sends the parts after the request, with pauses in seconds between them."""

    def talk(connection: socket.socket) -> None:
        head_of(connection)
        for part in parts:
            connection.sendall(part)
            pass_time(between)

    return talk


def stays_silent(connection: socket.socket) -> None:
    """Send nothing more and read until the client closes the connection."""
    while connection.recv(1_000):
        pass


def resolving_to(port: int, *hosts: str) -> Callable[..., object]:
    """Return a replacement for getaddrinfo that resolves every name to these IPv4 addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]
    return lambda *_, **__: found
