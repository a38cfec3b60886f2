"""Run many cheap WebSocket clients in one process: they parse frames, but no JSON.

python -m benchmarks.clients.stream_clients PORT EVERYTHING TEN SLOW [FORM]: connect this many clients that
read everything, that read ten symbols each, and that read everything slowly. FORM is `plain`, `compressed`
or `page`: compressed, and only the fields that the page shows. Compressed messages are inflated by ten
clients of each kind; the others discard them, so that the clients are not what is measured. Print "ready"
when each has its snapshot, run until the input ends, and print one line of JSON:

    {"arrivals": {"everything": [[batch, previous, seconds since the epoch, bytes], …], "ten": …, "slow": …},
     "messages": {"everything": 31000, "ten": …, "slow": …}, "bytes": {"everything": …, …}}
"""

import asyncio
import json
import re
import resource
import socket
import sys
import time
import zlib
from random import Random
from typing import Any, cast
from urllib.parse import urlencode

import uvloop

from benchmarks.jobs.batch_writer import SYMBOLS

CHANGES = re.compile(rb'"type":"changes","id":"\w+-(\d+)","previous":"\w+-(\d+)"')
HEAD_SIZE = 100
"""Leading bytes of a frame that contain its ids."""

PING, PONG = 0x89, 0x8A
COMPRESSED = 0x40
"""Bit of a frame's first byte: its payload is compressed."""

HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
"""Headers of a request for a WebSocket."""

EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

INFLATING = 10
"""Number of clients of each kind that inflate compressed messages, and so know their batch."""

PAGE_FIELDS = "price,bid,ask,open_24h,quote_volume_24h,traded_at,received_at"
"""Fields that server/page/stream.js asks for."""

AT_ONCE = 50
"""Number of clients that connect concurrently."""

SLOW_PAUSE = 0.5
SLOW_BUFFER = 32_768
"""A slow client reads up to SLOW_BUFFER bytes, and then nothing for SLOW_PAUSE seconds."""

Arrival = tuple[int, int, float, int]


class Received:
    """What the clients of one kind received since the last `clear`."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.arrivals: list[Arrival] = []
        """Of the clients that know the batch of a message."""
        self.messages = 0
        self.bytes = 0


class Client(asyncio.Protocol):
    """Records when the last byte of each message arrived.

    A client that does not inflate records only uncompressed messages.
    """

    def __init__(
        self,
        query: str,
        received: Received,
        *,
        is_slow: bool,
        is_compressed: bool,
        inflates: bool,
    ) -> None:
        self.query = query
        self.received = received
        self.is_slow = is_slow
        self.is_compressed = is_compressed
        self.inflates = inflates
        self.first = asyncio.get_running_loop().create_future()
        self._head = b""
        self._rest = self._size = 0
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(
            f"GET /ws?{self.query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{HANDSHAKE}"
            f"{EXTENSION if self.is_compressed else ''}\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.first.done():
            self.first.set_exception(ConnectionError("closed before the first message"))

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._head += data
            answer, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not answer.startswith(b"HTTP/1.1 101"):
                self.first.set_exception(ConnectionError(answer.decode()))
                return
            self._is_open, self._head = True, b""
        self._read(data)
        if self.is_slow:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(SLOW_PAUSE, self._transport.resume_reading)

    def _read(self, data: bytes) -> None:
        if not self._rest:
            data, self._head = self._head + data, b""
        at = 0
        while at < len(data):
            if not self._rest:
                size = frame_size(data[at : at + 10])
                if size is None or len(data) - at < min(size, HEAD_SIZE):
                    self._head = data[at:]
                    return
                kept = size if self.inflates and data[at] & COMPRESSED else HEAD_SIZE
                self._head, self._rest, self._size, self._kept = b"", size, size, kept
            taken = min(self._rest, len(data) - at)
            self._head += data[at : at + min(taken, self._kept - len(self._head))]
            self._rest -= taken
            at += taken
            if not self._rest:
                self._arrived(self._head)
                self._head = b""

    def _arrived(self, head: bytes) -> None:
        if head[0] == PING:
            # A pong, masked with zeros.
            self._transport.write(bytes([PONG, 0x80 | head[1], 0, 0, 0, 0]) + head[2:])
            return
        self.received.messages += 1
        self.received.bytes += self._size
        if head[0] & COMPRESSED:
            head = inflated(head) if self.inflates else b""
        if found := CHANGES.search(head):
            arrival = (int(found[1]), int(found[2]), time.time(), self._size)
            self.received.arrivals.append(arrival)
        if not self.first.done():
            self.first.set_result(None)


def inflated(frame: bytes) -> bytes:
    """Return the text of a compressed frame."""
    header = 2 + {126: 2, 127: 8}.get(frame[1], 0)
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(frame[header:] + b"\0\0\xff\xff")


def frame_size(head: bytes) -> int | None:
    """Return the size of an unmasked frame, None if `head` is too short."""
    if len(head) < 2:
        return None
    size, extended = head[1], {126: 2, 127: 8}.get(head[1], 0)
    if len(head) < 2 + extended:
        return None
    if extended:
        size = int.from_bytes(head[2 : 2 + extended])
    return 2 + extended + size


async def run(
    port: int, everything: int, ten: int, slow: int, form: str = "plain"
) -> dict[str, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    random = Random(2)
    received = {kind: Received() for kind in ("everything", "ten", "slow")}

    async def connect(kind: str, number: int) -> None:
        symbols = random.sample(SYMBOLS, 10) if kind == "ten" else []
        fields = [("fields", PAGE_FIELDS)] if form == "page" else []
        query = urlencode([*fields, *(("symbol", symbol) for _, symbol in symbols)])
        connection = socket.socket()
        if kind == "slow":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        client = Client(
            query,
            received[kind],
            is_slow=kind == "slow",
            is_compressed=form != "plain",
            inflates=number < INFLATING,
        )
        await loop.create_connection(lambda: client, sock=connection)
        await client.first

    for kind, number in (("everything", everything), ("ten", ten), ("slow", slow)):
        for begun in range(0, number, AT_ONCE):
            await asyncio.gather(
                *(connect(kind, each) for each in range(begun, min(number, begun + AT_ONCE)))
            )
    for each in received.values():
        each.clear()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return {
        "arrivals": {kind: each.arrivals for kind, each in received.items()},
        "messages": {kind: each.messages for kind, each in received.items()},
        "bytes": {kind: each.bytes for kind, each in received.items()},
    }


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    port, everything, ten, slow = map(int, sys.argv[1:5])
    print(json.dumps(uvloop.run(run(port, everything, ten, slow, *sys.argv[5:]))))


if __name__ == "__main__":
    main()
