"""Serve the hub's messages over WebSocket and server-sent events (SSE).

On one connection, each message is delivered at most once. Across connections there is no gap: a client
that sends the id of its last message gets the changes since.
"""

import asyncio
from collections.abc import Coroutine
from operator import attrgetter
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from server.streams.client import Client
from server.streams.hub import Hub
from server.streams.message import GZIP_HEADER, http_chunk
from server.streams.socket_writer import SocketWriter
from server.streams.subscription import StreamQuery

GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003

IS_HEAD = "server.is_head"
"""Key of the scope: the client asked only for the headers."""


async def stream_to_websocket(websocket: WebSocket, hub: Hub, query: StreamQuery) -> None:
    """Stream until the client disconnects or sends anything, or the hub closes."""
    await websocket.accept()
    client = Client(
        websocket.state.channel,
        attrgetter("deflated_frame" if websocket.state.channel.inflates else "frame"),
        hub.traffic["ws"],
        query.subscription(),
        query.since,
    )
    with hub.serving(client):
        received = await _received_before_close(hub, websocket.receive())
    if received is None:
        await websocket.close(GOING_AWAY, "the server is shutting down")
    elif received["type"] == "websocket.receive" and client.is_ready:
        await websocket.close(
            UNSUPPORTED_DATA, "the URL is the subscription; clients must not send messages"
        )
    elif received["type"] == "websocket.receive":
        # A client that does not read would not read a close frame either.
        client.channel.abort()


class EventStream(Response):
    """Server-sent events until the client disconnects or the hub closes."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, query: StreamQuery, last_event_id: str | None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no", "Vary": "Accept-Encoding"})
        # The length is not known in advance.
        del self.headers["Content-Length"]
        self._hub = hub
        self._subscription = query.subscription()
        # EventSource reconnects to the same URL and sends its last id in a header: the header is newer.
        self._since = last_event_id or query.since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        channel: SocketWriter = scope["state"]["channel"]
        if scope["http_version"] == "1.0":
            # HTTP/1.0 has no chunks: closing the connection ends the stream.
            encoding = "event"
        elif accepts_gzip(Headers(scope=scope).get("Accept-Encoding", "")):
            encoding = "deflated_chunk"
            self.headers["Content-Encoding"] = "gzip"
        else:
            encoding = "chunk"
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope.get(IS_HEAD):
            await send({"type": "http.response.body"})
            return
        if encoding == "deflated_chunk":
            channel.write(http_chunk(GZIP_HEADER))
        client = Client(
            channel,
            attrgetter(encoding),
            self._hub.traffic["sse"],
            self._subscription,
            self._since,
        )
        with self._hub.serving(client):
            if await _received_before_close(self._hub, _disconnect(receive)) is not None:
                return
        await send({"type": "http.response.body"})


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a header such as `gzip, deflate;q=0.5` accepts gzip (RFC 9110, section 12.5.3)."""
    weights: dict[str, str] = {}
    for each in accept_encoding.lower().split(","):
        coding, _, weight = each.partition(";")
        weights[coding.strip()] = "".join(weight.split())
    # An asterisk matches every coding that is not listed.
    matching = (weights[coding] for coding in ("gzip", "x-gzip", "*") if coding in weights)
    return next(matching, "q=0").rstrip("0.") != "q="


async def _disconnect(receive: Receive) -> AsgiMessage:
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


async def _received_before_close(
    hub: Hub, receive: Coroutine[Any, Any, AsgiMessage]
) -> AsgiMessage | None:
    """Return what the client sends, or None if the hub closes first."""
    receiving = asyncio.ensure_future(receive)
    closing = asyncio.ensure_future(hub.closed.wait())
    try:
        await asyncio.wait((receiving, closing), return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else None
    finally:
        receiving.cancel()
        closing.cancel()
