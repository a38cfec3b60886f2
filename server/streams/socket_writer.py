"""Write bytes to a client's socket without copying them into a queue.

server.streams.protocols puts a Channel into the scope's state. A stream writes bytes through it that are
ready to be sent; all else goes through ASGI.
"""

import asyncio
import socket
from collections.abc import Callable

UNANSWERED = 30_000
"""Milliseconds after which the kernel gives up a peer that acknowledges nothing: it has vanished."""

KERNEL_BYTES = 131_072
"""What the kernel takes ahead for a slow client. What waits there longer only grows old."""


class SocketWriter:
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


def _limit(connection: socket.socket) -> None:
    # Where a platform has no such option, pings and the limit for stalled clients remain.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BYTES)
