"""Run a real HTTP proxy on loopback: CONNECT with or without a password, and custom host names."""

import base64
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

from tests.support.sockets import head_of, shut_down, tcp_server


@dataclass
class SmallProxy:
    """A running proxy. `targets` are the requested CONNECT targets, `host:port`, in order."""

    port: int = 0
    targets: list[str] = field(default_factory=list)


@contextmanager
def small_proxy(
    addresses: Mapping[str, str], credentials: str = "", refusal: str = ""
) -> Iterator[SmallProxy]:
    """Run a proxy until the block ends.

    `addresses` maps known targets to real addresses, both `host:port`. `credentials` are
    `user:password`. With `refusal`, such as "403 Forbidden", it opens no tunnel.
    """
    proxy = SmallProxy()
    expected = base64.b64encode(credentials.encode()).decode()

    def talk(client: socket.socket) -> None:
        request, *headers = head_of(client).splitlines()
        method, target, _ = request.split(" ")
        proxy.targets.append(target)
        if refusal:
            client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 3\r\n\r\nno\n".encode())
        elif credentials and f"Proxy-Authorization: Basic {expected}" not in headers:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        elif method != "CONNECT" or target not in addresses:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        else:
            host, _, port = addresses[target].rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: small\r\n\r\n")
                backwards = Thread(target=pass_on, args=(server, client))
                backwards.start()
                pass_on(client, server)
                backwards.join()

    with tcp_server(talk) as proxy.port:
        yield proxy


def pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until either end is closed; then close both directions."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    shut_down(source)
    shut_down(target)
