"""Open one WebSocket to an exchange: ask where it is, connect, and wait for the handshake."""

from websocket import WebSocketBadStatusException

from exchanges.exchange import Endpoint
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.refusal import obeying, refusal
from extractors.network.stream import opened_stream
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.web_socket import Socket

OPEN_LIMIT = 10.0
"""Seconds for all steps together: name lookup, KuCoin's token, TCP, proxy, TLS and handshake."""


def connect(client: ExchangeClient) -> tuple[Endpoint, Socket]:
    """Return where the next connection goes, and the open WebSocket, in blocking mode.

    Raise ExchangeError, WebSocketException or OSError; none of them shows the URL or its token.
    """
    deadline = Deadline(OPEN_LIMIT)
    endpoint = client.endpoint(deadline)
    return endpoint, open_socket(endpoint, client.ban, deadline)


def open_socket(endpoint: Endpoint, ban: Ban, deadline: Deadline) -> Socket:
    """Return a WebSocket once the handshake is answered. Raise as connect() does."""
    socket = Socket(enable_multithread=False, skip_utf8_validation=True)
    with obeying(ban), opened_stream(endpoint.url, deadline) as stream:
        try:
            socket.connect(endpoint.url, socket=stream, redirect_limit=0)  # type: ignore[no-untyped-call]
        except WebSocketBadStatusException as error:
            raise refusal(
                "handshake",
                endpoint.url,
                error.status_code,
                error.resp_headers or {},
                error.resp_body or b"",
                at_once=error.status_code == 401,
            ) from error
    return socket
