"""The way out of a connection, without a queue: what is written once for many is copied for none.

uvicorn's protocols put a Channel into the scope's state, so that a stream can write bytes that are
ready to be sent. All else goes through ASGI as ever.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

UNANSWERED = 30_000
"""Milliseconds after which the kernel gives up a peer that acknowledges nothing: it has vanished."""

KERNEL_BYTES = 131_072
"""What the kernel takes ahead for a slow client. What waits there longer only grows old."""

HEARD_WHILE_WAITING = 65_536
"""Bytes that a client may say while it reads nothing: its pings are answered, and answers wait."""


class Channel:
    """`ready` as long as the kernel has taken all that was written.

    So a writer who writes one message when it is ready, and none when it is not, has at most one
    message waiting in this process.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.ready = True
        self.on_ready: Callable[[], None] | None = None
        transport.set_write_buffer_limits(high=0)
        _limit(transport.get_extra_info("socket"))

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """Ends the connection without another byte."""
        self._transport.abort()

    def paused(self) -> None:
        self.ready = False

    def resumed(self) -> None:
        self.ready = True
        if self.on_ready is not None:
            self.on_ready()


class WithChannel(asyncio.Protocol):
    """For uvicorn's protocols: opens a Channel with each connection."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._channel = Channel(cast(asyncio.Transport, transport))
        self._heard = 0
        self.app_state = {**self.app_state, "channel": self._channel}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._heard = 0 if self._channel.ready else self._heard + len(data)
        if self._heard > HEARD_WHILE_WAITING:
            self._channel.abort()
        else:
            super().data_received(data)

    def pause_writing(self) -> None:
        self._channel.paused()
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._channel.resumed()


class HttpProtocol(WithChannel, H11Protocol):
    pass


class WebSocketProtocol(WithChannel, WebSocketsSansIOProtocol):
    pass


def _limit(connection: socket.socket) -> None:
    # Where a platform has no such option, pings and the limit for stalled clients remain.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)
