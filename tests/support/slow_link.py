"""Delay one connection between a client and its server on loopback."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from queue import SimpleQueue
from threading import Thread

from tests.support.small_proxy import pass_on
from tests.support.sockets import shut_down, tcp_server


@contextmanager
def slow_link(to_port: int, seconds: float) -> Iterator[int]:
    """Yield the port. On its first connection the server's bytes arrive `seconds` after they were sent."""
    delays = chain([seconds], repeat(0.0))

    def talk(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", to_port)) as server:
            backwards = Thread(target=pass_on_late, args=(server, client, next(delays)))
            backwards.start()
            pass_on(client, server)
            backwards.join()

    with tcp_server(talk) as port:
        yield port


def pass_on_late(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Pass bytes on, each part after the same delay, until the source is closed."""
    parts: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def read() -> None:
        data = b"open"
        while data:
            try:
                data = source.recv(65_536)
            except OSError:
                data = b""
            parts.put((time.monotonic() + seconds, data))

    reader = Thread(target=read)
    reader.start()
    with suppress(OSError):
        while True:
            due, data = parts.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                break
            target.sendall(data)
    shut_down(target)
    reader.join()
