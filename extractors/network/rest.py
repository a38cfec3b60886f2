"""Send requests to an exchange's REST server, one per connection, and none during a ban."""

from contextlib import closing
from socket import socket
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.refusal import refusal, respecting_ban
from extractors.network.stream import opened_stream

HEADERS = {"User-Agent": "cryptopricesrt", "Accept": "application/json"}

LONGEST_BODY = 64_000_000
"""Maximum bytes read of a response. Binance's symbol list has 10 million or more."""


def ask(method: str, url: str, ban: Ban, deadline: Deadline) -> str:
    """Return the text of a successful response. Do not follow redirects or retry.

    Raise ExchangeError for any other response or during a ban, OSError without a response.
    """
    path = urlsplit(url).path
    with respecting_ban(ban):
        with opened_stream(url, deadline) as stream, closing(stream), requests.Session() as session:
            # The stream already goes through the proxy; send no credentials from the environment.
            session.trust_env = False
            session.mount(url, _OverStream(stream))
            try:
                answer = session.request(
                    method, url, headers=HEADERS, allow_redirects=False, stream=True
                )
                body = answer.raw.read(LONGEST_BODY, decode_content=True)
            except (requests.RequestException, HTTPError) as error:
                raise ConnectionError(f"{path}: {error!r:.200}") from error
        if answer.status_code != 200:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            raise refusal(
                path, url, answer.status_code, headers, body, reset_header=ban.reset_header
            )
    return str(body, "utf-8", "replace")


class _OverStream(HTTPAdapter):
    """Adapter that sends one request over an open connection, TLS included.

    So REST shares the WebSocket's staggered attempts, proxy and deadline.
    """

    def __init__(self, stream: socket) -> None:
        super().__init__()
        self._stream = stream

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> HTTPConnectionPool:
        stream = self._stream

        class Connection(HTTPConnection):
            def _new_conn(self) -> socket:
                return stream

        address = urlsplit(request.url or "")
        pool = HTTPConnectionPool(str(address.hostname), address.port)
        pool.ConnectionCls = Connection
        return pool
