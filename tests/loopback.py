"""Real servers on loopback and free ports, for as long as a test needs them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

Talk = Callable[[ServerConnection], None]


@contextmanager
def websocket_server(
    talk: Talk,
    refuse: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> Iterator[str]:
    """Gives ws://127.0.0.1:port. Each connection has `talk` in a thread of its own."""
    with serve(talk, "127.0.0.1", 0, compression=None, process_request=refuse) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def http_server(
    body: Callable[[], str], status: int = 200, headers: dict[str, str] | None = None
) -> Iterator[str]:
    """Gives http://127.0.0.1:port, where every POST has the same kind of answer."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = body().encode()
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def bullet(endpoint: str, token: str, ping_interval: float = 18.0) -> str:
    """KuCoin's answer to bullet-public."""
    server = {
        "endpoint": f"{endpoint}/",
        "encrypt": True,
        "protocol": "websocket",
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": 10000,
    }
    return json.dumps({"code": "200000", "data": {"token": token, "instanceServers": [server]}})


@contextmanager
def kucoin(talk: Talk, ping_interval: float = 18.0) -> Iterator[str]:
    """A KuCoin that gives the tokens secret/1, secret/2, ...; gives its REST server's URL.

    `talk` begins after the ack of the subscription.
    """
    numbers = count(1)

    def subscribed(connection: ServerConnection) -> None:
        connection.send('{"id":"hQvf8jkno","type":"welcome"}')
        asked = json.loads(connection.recv(timeout=5))
        assert asked["topic"] == "/market/ticker:all", asked
        connection.send(json.dumps({"id": asked["id"], "type": "ack"}))
        talk(connection)

    with (
        websocket_server(subscribed) as endpoint,
        http_server(lambda: bullet(endpoint, f"secret/{next(numbers)}", ping_interval)) as url,
    ):
        yield url


def token_of(connection: ServerConnection) -> str:
    """The token in the URL that the client connected to."""
    assert connection.request is not None
    return parse_qs(urlsplit(connection.request.path).query)["token"][0]
