"""The streams' two kinds: WebSocket and server-sent events. All that they say comes from the hub.

At most once on a connection, without a gap over connections: a client that says which message it
had last gets what changed since.
"""

import asyncio
from collections.abc import Coroutine
from operator import attrgetter
from typing import Any

from starlette.responses import Response
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from server.streams.client import Client
from server.streams.hub import Hub
from server.streams.subscription import StreamQuery

GOING_AWAY = 1001
UNSUPPORTED_DATA = 1003


async def stream_to_websocket(websocket: WebSocket, hub: Hub, query: StreamQuery) -> None:
    """Until the client leaves, says something, or the hub closes."""
    await websocket.accept()
    client = Client(
        websocket.state.channel,
        attrgetter("frame"),
        hub.traffic["ws"],
        query.subscription(),
        query.since,
    )
    with hub.serving(client):
        heard = await _first(hub, websocket.receive())
    if heard is None:
        await websocket.close(GOING_AWAY, "the server is shutting down")
    elif heard["type"] == "websocket.receive" and client.is_ready:
        await websocket.close(UNSUPPORTED_DATA, "the address is the subscription; say nothing")
    elif heard["type"] == "websocket.receive":
        # It would not read a goodbye either.
        client.channel.abort()


class EventStream(Response):
    """Server-sent events, until the client leaves or the hub closes."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, query: StreamQuery, last_event_id: str | None) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # Its length is not known.
        del self.headers["Content-Length"]
        self._hub = hub
        self._subscription = query.subscription()
        # EventSource connects again to the same address, and says in a header what is new.
        self._since = last_event_id or query.since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        client = Client(
            scope["state"]["channel"],
            # HTTP 1.0 has no chunks: the stream ends with its connection.
            attrgetter("event" if scope["http_version"] == "1.0" else "chunk"),
            self._hub.traffic["sse"],
            self._subscription,
            self._since,
        )
        with self._hub.serving(client):
            if await _first(self._hub, _disconnect(receive)) is not None:
                return
        await send({"type": "http.response.body"})


async def _disconnect(receive: Receive) -> AsgiMessage:
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


async def _first(hub: Hub, heard: Coroutine[Any, Any, AsgiMessage]) -> AsgiMessage | None:
    """What the client says; None when the hub closes before."""
    hearing = asyncio.ensure_future(heard)
    closing = asyncio.ensure_future(hub.closed.wait())
    try:
        await asyncio.wait((hearing, closing), return_when=asyncio.FIRST_COMPLETED)
        return hearing.result() if hearing.done() else None
    finally:
        hearing.cancel()
        closing.cancel()
