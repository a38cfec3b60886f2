"""Write bytes to a client's socket without copying them into a queue.

server.streams.protocols puts a SocketWriter into the scope's state, as `channel`. Streams write encoded
messages through it; everything else goes through ASGI.
"""

import asyncio
import socket
from collections.abc import Callable

ACK_TIMEOUT_MS = 30_000
"""Milliseconds without an acknowledgement after which the kernel closes the connection."""

UNSENT_LIMIT = 131_072
"""Maximum bytes that the kernel buffers unsent for a slow client; more would only get stale."""


class SocketWriter:
    """Writer that is `ready` while the kernel has taken everything written.

    If the caller writes one message when it is ready, and none otherwise, at most one message waits
    in this process.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.ready = True
        self.inflates = False
        """The client takes compressed WebSocket messages (permessage-deflate)."""
        self.on_ready: Callable[[], None] | None = None
        transport.set_write_buffer_limits(high=0)
        _set_limits(transport.get_extra_info("socket"))

    @property
    def waiting(self) -> int:
        """Number of bytes that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        """Close the connection at once, without sending what waits."""
        self._transport.abort()

    def paused(self) -> None:
        self.ready = False

    def resumed(self) -> None:
        self.ready = True
        if self.on_ready is not None:
            self.on_ready()


def _set_limits(connection: socket.socket) -> None:
    # On platforms without these options, pings and the limit for stalled clients remain.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ACK_TIMEOUT_MS)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
