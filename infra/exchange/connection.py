"""One client's WebSocket: what it was sent, and why it ended."""

import asyncio
import json
import logging
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

log = logging.getLogger(__name__)

# The exchanges close a socket that is read too slowly. Held back here: some 16,000 KuCoin frames.
LARGEST_BACKLOG_BYTES = 4_000_000
# How long a client may take to answer a close, in seconds.
CLOSE_TIMEOUT = 0.5

ENDINGS = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_frames(texts: Iterable[str]) -> bytes:
    """Each text as one WebSocket frame (RFC 6455: final, text, not masked, not compressed)."""
    frames: list[bytes] = []
    for text in texts:
        payload = text.encode()
        size = len(payload)
        if size < 126:
            header = struct.pack("!BB", 0x81, size)
        elif size < 65_536:
            header = struct.pack("!BBH", 0x81, 126, size)
        else:
            header = struct.pack("!BBQ", 0x81, 127, size)
        frames += (header, payload)
    return b"".join(frames)


class Connection:
    """Data goes to the transport as ready frames: those of a feed are made once for all clients."""

    def __init__(
        self, name: str, socket: web.WebSocketResponse, transport: asyncio.Transport
    ) -> None:
        self.socket = socket
        self.frames = 0
        self._name = name
        self._transport = transport
        self._reason = ""

    def __str__(self) -> str:
        return self._name

    @property
    def reason(self) -> str:
        """Why it ended."""
        return self._reason or f"the client left (code {self.socket.close_code})"

    def send(self, *texts: str) -> None:
        self.write(encode_frames(texts), len(texts))

    def write(self, frames: bytes, count: int) -> None:
        """Never waits: a client that reads too slowly is cut off, as the exchanges do."""
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > LARGEST_BACKLOG_BYTES:
            self._reason = "the client reads too slowly"
            self._transport.abort()
            return
        self._transport.write(frames)
        self.frames += count

    async def receive(self) -> WSMessage | None:
        """The next text, binary or pong; None when the connection has ended. Answers pings."""
        while (message := await self.socket.receive()).type is WSMsgType.PING:
            await self.socket.pong(message.data)
        return None if message.type in ENDINGS else message

    async def close(self, code: WSCloseCode, reason: str) -> None:
        """Does not wait for what a slow client has still to read."""
        self._reason = reason
        await self.socket.close(code=code, message=reason.encode(), drain=False)


class Connections:
    """Those of one exchange that are open."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._open: set[Connection] = set()

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._open)

    @asynccontextmanager
    async def accept(self, request: web.Request) -> AsyncIterator[Connection]:
        """The WebSocket that a request asks for. Its opening and its end are a line in the log."""
        socket = web.WebSocketResponse(autoping=False, compress=False, timeout=CLOSE_TIMEOUT)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError(f"{self._exchange}: the client left during the handshake")
        host, port = transport.get_extra_info("peername")[:2]
        connection = Connection(f"{self._exchange} {host}:{port}", socket, transport)
        log.info("%s opened", connection)
        self._open.add(connection)
        try:
            yield connection
        finally:
            self._open.discard(connection)
            frames, reason = connection.frames, connection.reason
            log.info("%s closed after %d frames: %s", connection, frames, reason)

    async def close(self) -> None:
        closing = (c.close(WSCloseCode.GOING_AWAY, "server shutdown") for c in self._open)
        await asyncio.gather(*closing)
