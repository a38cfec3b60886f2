"""Run real WebSocket and HTTP servers on free ports of loopback during a test."""

import json
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fcntl import ioctl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from termios import TIOCOUTQ
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.support.sockets import serving
from tests.support.waiting import DEADLINE, wait_for

CLOSE_1001 = b"\x88\x02\x03\xe9"
"""Close frame of a WebSocket server, with code 1001 and no reason."""

Talk = Callable[[ServerConnection], None]


@contextmanager
def websocket_server(
    talk: Talk,
    refuse: Callable[[ServerConnection, Request], Response | None] | None = None,
    tls: SSLContext | None = None,
) -> Iterator[str]:
    """Yield ws://127.0.0.1:port, or wss:// with TLS. Run `talk` in a separate thread per connection."""
    with serve(talk, "127.0.0.1", 0, compression=None, process_request=refuse, ssl=tls) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            scheme = "wss" if tls else "ws"
            yield f"{scheme}://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> Path:
    """Create a self-signed certificate for 127.0.0.1. Return the PEM file with key and certificate."""
    path = folder / "certificate.pem"
    command = "openssl req -x509 -noenc -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 1"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command.split(), *names, "-keyout", path, "-out", path.with_suffix(".crt")],
        check=True,
        capture_output=True,
    )
    with path.open("a") as pem:
        pem.write(path.with_suffix(".crt").read_text())
    return path


def server_tls(pem: Path) -> SSLContext:
    """Return the TLS context of a server with the key and certificate in a PEM file."""
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@contextmanager
def http_server(
    body: Callable[[], str],
    status: int | Callable[[], int] = 200,
    headers: dict[str, str] | None = None,
    tls: SSLContext | None = None,
) -> Iterator[str]:
    """Yield http://127.0.0.1:port, or https:// with TLS.

    Every GET and POST is answered with `body` and `status`, every HEAD with `status`.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Unlike send_response(), adds no Date header: a test may set one.
            self.send_response_only(status if isinstance(status, int) else status())
            content = body().encode()
            for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_POST = do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"


def bullet(endpoint: str, token: str, ping_interval: float = 18.0) -> str:
    """Return KuCoin's answer to bullet-public."""
    server = {
        "endpoint": f"{endpoint}/",
        "encrypt": True,
        "protocol": "websocket",
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": 10000,
    }
    return json.dumps({"code": "200000", "data": {"token": token, "instanceServers": [server]}})


@contextmanager
def kucoin_from_its_welcome(talk: Talk, ping_interval: float = 18.0) -> Iterator[str]:
    """Run a KuCoin that issues the tokens secret/1, secret/2, …; yield the URL of its REST server.

    `talk` sends everything on the WebSocket, including the welcome.
    """
    numbers = count(1)
    with (
        websocket_server(talk) as endpoint,
        http_server(lambda: bullet(endpoint, f"secret/{next(numbers)}", ping_interval)) as url,
    ):
        yield url


def kucoin(talk: Talk, ping_interval: float = 18.0) -> AbstractContextManager[str]:
    """Run the same KuCoin, but call `talk` after the ack of the subscription."""

    def subscribed(connection: ServerConnection) -> None:
        connection.send('{"id":"hQvf8jkno","type":"welcome"}')
        asked = json.loads(connection.recv(timeout=DEADLINE))
        assert asked["topic"] == "/market/ticker:all", asked
        connection.send(json.dumps({"id": asked["id"], "type": "ack"}))
        talk(connection)

    return kucoin_from_its_welcome(subscribed, ping_interval)


def token_of(connection: ServerConnection) -> str:
    """Return the token in the URL that the client connected to."""
    assert connection.request is not None
    return parse_qs(urlsplit(connection.request.path).query)["token"][0]


def until_closed(connection: ServerConnection) -> None:
    """Send nothing more and wait for the client's close."""
    for _ in connection:
        pass


def sends(*frames: object) -> Talk:
    """Return a talk that sends each frame as JSON, then nothing more."""

    def talk(connection: ServerConnection) -> None:
        for frame in frames:
            connection.send(json.dumps(frame))
        until_closed(connection)

    return talk


def on_connections(*talks: Talk) -> Talk:
    """Return a talk that runs the n-th talk on the n-th connection, and the last on all later ones."""
    remaining = list(talks)

    def talk(connection: ServerConnection) -> None:
        (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection)

    return talk


def leaves(connection: ServerConnection) -> None:
    """Close the TCP connection without a close frame, once all sent data has been acknowledged."""

    def unsent() -> int:
        [count] = struct.unpack("i", ioctl(connection.socket, TIOCOUTQ, bytes(4)))
        return int(count)

    wait_for(unsent, lambda count: count == 0, pause=0.001)
    connection.socket.close()


def aborts(connection: ServerConnection) -> None:
    """Reset the connection, once all sent data has been acknowledged."""
    connection.socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    leaves(connection)
