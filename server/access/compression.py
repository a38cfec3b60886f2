"""Compress answers with gzip for clients that accept it. Streams compress their messages themselves."""

from functools import partial

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access.stream_limits import EVENTS_PATH
from server.streams.stream import accepts_gzip

SMALLEST = 1_000
"""Bytes from which compression pays."""

LEVEL = 1
"""Level of zlib: an answer with all prices takes some 10 ms, in a thread."""


class Compression:
    """gzip for every answer of SMALLEST bytes or more, except the stream of events."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, minimum_size=SMALLEST, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == EVENTS_PATH:
            await self._app(scope, receive, send)
        else:
            # In place, because CountRequests reads the route that is set on this scope.
            scope["headers"] = _simplified(scope)
            await self._compressing(scope, receive, partial(_send, send))


def _simplified(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers with `Accept-Encoding: gzip`, or without it if the client does not accept gzip.

    GZipMiddleware ignores weights: it would take `gzip;q=0` for consent.
    """
    headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    if accepts_gzip(Headers(scope=scope).get("Accept-Encoding", "")):
        headers.append((b"accept-encoding", b"gzip"))
    return headers


async def _send(send: Send, message: Message) -> None:
    """Weaken the ETag of a compressed answer: its bytes are not those of the plain one (RFC 9110, 8.8.1)."""
    if message["type"] == "http.response.start":
        headers = MutableHeaders(raw=message["headers"])
        tag = headers.get("ETag", "")
        if "Content-Encoding" in headers and tag.startswith('"'):
            headers["ETag"] = f"W/{tag}"
    await send(message)
