"""Encode objects as JSON, and texts as WebSocket frames."""

import json
import struct
from collections.abc import Iterable

encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode_frames(texts: Iterable[str]) -> bytes:
    """Encode each text as one WebSocket frame (RFC 6455: final, text, unmasked, uncompressed)."""
    frames: list[bytes] = []
    for text in texts:
        # A lone surrogate, which a client may have sent as an escape, becomes that escape again.
        payload = text.encode(errors="backslashreplace")
        size = len(payload)
        if size < 126:
            header = struct.pack("!BB", 0x81, size)
        elif size < 65_536:
            header = struct.pack("!BBH", 0x81, 126, size)
        else:
            header = struct.pack("!BBQ", 0x81, 127, size)
        frames += (header, payload)
    return b"".join(frames)
