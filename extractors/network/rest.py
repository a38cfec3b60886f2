"""Send requests to an exchange's REST server, and none during a ban."""

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
"""Maximum size of a response's body, in bytes. Binance's symbol list has at least 10 MB."""


def ask(method: str, url: str, ban: Ban, deadline: Deadline) -> str:
    """Return the text of a successful response. Do not follow redirects or retry.

    Raise ExchangeError for any other response or during a ban, OSError without a response.
    """
    with closing(RestConnection(ban)) as connection:
        return connection.ask(method, url, deadline)


class RestConnection:
    """Connection to one server, which is opened by a request and kept for the next ones.

    If a request gets no response, the next one opens a new connection. A refusal keeps it open.
    """

    def __init__(self, ban: Ban) -> None:
        self._ban = ban
        self._stream: socket | None = None
        self._session = requests.Session()
        # The stream already goes through the proxy; send no credentials from the environment.
        self._session.trust_env = False

    def ask(self, method: str, url: str, deadline: Deadline) -> str:
        """Return the text of a successful response, as the function `ask`."""
        path = urlsplit(url).path
        with respecting_ban(self._ban):
            try:
                answer, body = self._answer(method, url, deadline)
            except BaseException:
                self.close()
                raise
            if answer.status_code != 200:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                raise refusal(
                    path,
                    url,
                    answer.status_code,
                    headers,
                    body,
                    reset_header=self._ban.reset_header,
                )
        return str(body, "utf-8", "replace")

    def _answer(self, method: str, url: str, deadline: Deadline) -> tuple[requests.Response, bytes]:
        if self._stream is None:
            # The block only limits the time to connect: without an error the stream stays open.
            with opened_stream(url, deadline) as stream:
                self._stream = stream
            address = urlsplit(url)
            self._session.mount(f"{address.scheme}://{address.netloc}", _OverStream(stream, url))
        with deadline.enforced_on(self._stream):
            try:
                answer = self._session.request(
                    method, url, headers=HEADERS, allow_redirects=False, stream=True
                )
                body = answer.raw.read(LONGEST_BODY + 1, decode_content=True)
            except (requests.RequestException, HTTPError) as error:
                raise ConnectionError(f"{urlsplit(url).path}: {error!r:.200}") from error
        if len(body) > LONGEST_BODY:
            raise ConnectionError(f"{urlsplit(url).path}: more than {LONGEST_BODY} bytes")
        # The client has closed the stream if the server keeps no connection, as with HTTP/1.0.
        if self._stream.fileno() < 0:
            self.close()
        return answer, body

    def close(self) -> None:
        self._session.close()
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _OverStream(HTTPAdapter):
    """Adapter that sends requests over an open connection, TLS included.

    So REST shares the WebSocket's staggered attempts, proxy and deadline.
    """

    def __init__(self, stream: socket, url: str) -> None:
        super().__init__()

        class Connection(HTTPConnection):
            def _new_conn(self) -> socket:
                return stream

        address = urlsplit(url)
        # One pool, because a pool closes its connection when it is deleted.
        self._pool = HTTPConnectionPool(str(address.hostname), address.port)
        self._pool.ConnectionCls = Connection

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *_: object, **__: object
    ) -> HTTPConnectionPool:
        return self._pool
