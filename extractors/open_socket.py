"""Open one WebSocket to an exchange, from its address to the answered handshake."""

from contextlib import suppress

import websocket
from websocket import STATUS_NORMAL, WebSocket, WebSocketException

from extractors.feed import Endpoint, FeedError, demanded_pause

OPEN_LIMIT = 10.0
"""Seconds to connect, and seconds for each step of the handshake."""


class Socket(WebSocket):
    """What can't be answered is still to be read: the end of a connection is found by reading."""

    def pong(self, payload: str | bytes = "") -> None:
        with suppress(WebSocketException, OSError):
            super().pong(payload)

    def send_close(self, status: int = STATUS_NORMAL, reason: str | bytes = b"") -> None:
        with suppress(WebSocketException, OSError):
            super().send_close(status, reason)


def open_socket(endpoint: Endpoint) -> WebSocket:
    """Raises FeedError, WebSocketException or OSError; none of them shows the URL or its token."""
    try:
        socket = websocket.create_connection(
            endpoint.url,
            timeout=OPEN_LIMIT,
            redirect_limit=0,
            enable_multithread=False,
            skip_utf8_validation=True,
            class_=Socket,
        )
    except websocket.WebSocketBadStatusException as error:
        raise FeedError(
            "refused",
            f"handshake answered {error.status_code}",
            at_once=error.status_code == 401,
            retry_after=demanded_pause(error.resp_headers or {}),
        ) from error
    return socket
