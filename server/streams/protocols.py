"""Extend uvicorn's protocols with a SocketWriter per connection and with limits on connections."""

import asyncio
import zlib
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Request
from websockets.typing import ExtensionParameter

from server.streams.socket_writer import SocketWriter

MAX_UNREAD_INPUT = 65_536
"""Bytes that a client may send while it reads nothing. Its pings are answered, and answers pile up."""

PROXIES = {"127.0.0.1", "::1"}
"""Addresses that uvicorn trusts for X-Forwarded-For. Their connections may belong to many clients."""


class ConnectionLimits(NamedTuple):
    """Maximum number of open connections, streams included, and their idle timeout."""

    total: int
    per_address: int
    idle_timeout: float = 10.0
    """Seconds from the connection, or from the last answer, within which a request must come."""


class WithSocketWriter(asyncio.Protocol):
    """Mixin for uvicorn's protocols: create a SocketWriter for each connection."""

    app_state: dict[str, Any]
    client: tuple[str, int] | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._channel = SocketWriter(cast(asyncio.Transport, transport))
        self._received_unready = 0
        self.app_state = {**self.app_state, "channel": self._channel}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._received_unready = 0 if self._channel.ready else self._received_unready + len(data)
        if self._received_unready > MAX_UNREAD_INPUT:
            self._channel.abort()
        else:
            super().data_received(data)

    def pause_writing(self) -> None:
        self._channel.paused()
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._channel.resumed()


class HttpProtocol(WithSocketWriter, H11Protocol):
    """HTTP, which every connection begins with.

    Abort a connection beyond the limits, and one that neither sends a request nor reads its answer.
    """

    def __init__(self, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._start_idle_timer()
        if self._is_over_limit():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle_timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._idle_timer.cancel()
        self._start_idle_timer()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Leave idle connections to _abort_if_idle: uvicorn does not wait until the answer is read."""

    def _start_idle_timer(self, unread_before: float = inf) -> None:
        limit = self._limits.idle_timeout
        self._idle_timer = self.loop.call_later(limit, self._abort_if_idle, unread_before)

    def _abort_if_idle(self, unread_before: float) -> None:
        is_http = self.transport.get_protocol() is self
        if is_http and (self.cycle is None or self.cycle.response_complete):
            if 0 < self._channel.waiting < unread_before:
                # The client is still reading the last answer.
                self._start_idle_timer(self._channel.waiting)
            else:
                self.transport.abort()

    def _is_over_limit(self) -> bool:
        if len(self.connections) > self._limits.total:
            return True
        if self.client is None or self.client[0] in PROXIES:
            return False
        address = self.client[0]
        peers = [each.client for each in self.connections if isinstance(each, WithSocketWriter)]
        from_address = sum(peer is not None and peer[0] == address for peer in peers)
        return from_address > self._limits.per_address


class SharedDeflate(ServerPerMessageDeflateFactory):
    """permessage-deflate in which every message is compressed by itself, so that all clients share it.

    A client that demands a smaller window than the shared messages have gets no compression.
    """

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        response, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < zlib.MAX_WBITS:
            raise NegotiationError(f"a window of {extension.local_max_window_bits} bits")
        return response, extension


class WebSocketProtocol(WithSocketWriter, WebSocketsSansIOProtocol):
    """WebSocket, compressed for clients that offer it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conn.available_extensions = [SharedDeflate()]

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        self._channel.inflates = bool(self.conn.extensions)

    def keepalive_timeout(self) -> None:
        """Close a connection on which a ping was not answered.

        Wait again while a message is still being sent: the ping waits behind it. The hub closes a client
        that reads nothing.
        """
        if self._channel.ready:
            super().keepalive_timeout()
        else:
            assert self.ping_timeout is not None
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)


def http_protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the factory with which uvicorn makes the protocol of each connection."""
    return cast(type[asyncio.Protocol], partial(HttpProtocol, limits))
