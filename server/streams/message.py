"""Encode a message for WebSocket and for SSE: plain and compressed, once for all of its receivers."""

import struct
import zlib
from functools import cached_property

from isal import isal_zlib

TEXT = 0x81
"""First byte of a WebSocket frame: text, and final frame of its message."""

COMPRESSED = 0x40
"""Bit of that byte that says that the payload is compressed (RSV1, RFC 7692, section 6)."""

LARGE = 16_384
"""Size in bytes from which a message is compressed by zlib; smaller ones are compressed by ISA-L.

A large message goes to all clients of a subscription, so its size counts: ISA-L would make a stream of all
prices a tenth larger. Small messages are numerous, one for each choice of symbols, so their time counts:
ISA-L takes a third to an eighth of zlib's.
"""

LEVEL_OF_ZLIB = 6
"""Level 1 makes a stream of all prices 28 % larger and saves 5 ms per MB; 9 saves 4 % and takes three
times as long."""

LEVEL_OF_ISAL = 1
"""Levels 2 and 3 save no byte of a message of ten symbols."""

SMALLEST_COMPRESSED = 200
"""Bytes from which compression pays; a heartbeat is shorter."""

BLOCK_END = b"\x00\x00\xff\xff"
"""End of deflated data after a sync flush. RFC 7692, section 7.2.1, leaves it out of a message."""

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Beginning of a gzip stream without a name and a time (RFC 1952)."""


class Message:
    """One message. Each encoding is built on first use, once for all clients."""

    def __init__(self, id: str | None, text: str) -> None:
        self._id = id
        self._text = text

    @cached_property
    def frame(self) -> bytes:
        """WebSocket frame, unmasked as from every server."""
        return _frame(TEXT, self._text.encode())

    @cached_property
    def deflated_frame(self) -> bytes:
        """WebSocket frame for clients with permessage-deflate; uncompressed if the message is small."""
        payload = self._text.encode()
        if len(payload) < SMALLEST_COMPRESSED:
            return self.frame
        return _frame(TEXT | COMPRESSED, _deflated(payload).removesuffix(BLOCK_END))

    @cached_property
    def event(self) -> bytes:
        """Server-sent event. Without an id, the client keeps its last one."""
        id_line = "" if self._id is None else f"id: {self._id}\n"
        return f"{id_line}data: {self._text}\n\n".encode()

    @cached_property
    def chunk(self) -> bytes:
        """The event as an HTTP/1.1 chunk."""
        return http_chunk(self.event)

    @cached_property
    def deflated_chunk(self) -> bytes:
        """The event as a chunk of a gzip stream, which begins with GZIP_HEADER.

        The blocks refer to nothing before them, so the same bytes continue any client's stream.
        """
        return http_chunk(_deflated(self.event))


def http_chunk(data: bytes) -> bytes:
    """Return the data as an HTTP/1.1 chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def _deflated(data: bytes) -> bytes:
    """Return deflate blocks that refer to no earlier data and end on a byte boundary."""
    if len(data) < LARGE:
        fast = isal_zlib.compressobj(LEVEL_OF_ISAL, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
        return fast.compress(data) + fast.flush(isal_zlib.Z_SYNC_FLUSH)
    compressor = zlib.compressobj(LEVEL_OF_ZLIB, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
