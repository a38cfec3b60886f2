"""Open one WebSocket to an exchange: request the endpoint, connect, and complete the handshake."""

from websocket import WebSocketBadStatusException

from exchanges.exchange import Endpoint
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.refusal import refusal, respecting_ban
from extractors.network.stream import opened_stream
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.web_socket import Socket

OPEN_LIMIT = 10.0
"""Timeout of all steps together, in seconds: KuCoin's token, name lookup, TCP, proxy, TLS, handshake."""


def connect(client: ExchangeClient) -> tuple[Endpoint, Socket]:
    """Return the endpoint of the next connection, and the open WebSocket in blocking mode.

    Raise ExchangeError, WebSocketException or OSError. Their texts contain neither URL nor token.
    """
    deadline = Deadline(OPEN_LIMIT)
    endpoint = client.endpoint(deadline)
    return endpoint, open_socket(endpoint, client.ban, deadline)


def open_socket(endpoint: Endpoint, ban: Ban, deadline: Deadline) -> Socket:
    """Return a WebSocket after its handshake. Raise the same errors as connect()."""
    socket = Socket(enable_multithread=False, skip_utf8_validation=True)
    with respecting_ban(ban), opened_stream(endpoint.url, deadline) as stream:
        try:
            socket.connect(endpoint.url, socket=stream, redirect_limit=0)  # type: ignore[no-untyped-call]
        except WebSocketBadStatusException as error:
            raise refusal(
                "handshake",
                endpoint.url,
                error.status_code,
                error.resp_headers or {},
                error.resp_body or b"",
                reset_header=ban.reset_header,
                at_once=error.status_code == 401,
            ) from error
    return socket
