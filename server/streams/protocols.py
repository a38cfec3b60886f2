"""uvicorn's protocols, with a SocketWriter for each connection and limits before the first request."""

import asyncio
from functools import partial
from math import inf
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.streams.socket_writer import SocketWriter

HEARD_WHILE_WAITING = 65_536
"""Bytes that a client may say while it reads nothing: its pings are answered, and answers wait."""

PROXY = "127.0.0.1"
"""Whose word on X-Forwarded-For uvicorn takes. Its connections are those of many."""


class ConnectionLimits(NamedTuple):
    """How many connections are open at most, streams among them, and how long they may be idle."""

    in_all: int
    per_address: int
    ask_within: float = 10.0
    """Seconds that a client may take to ask for something, from its connection or the last answer on."""


class WithChannel(asyncio.Protocol):
    """For uvicorn's protocols: opens a Channel with each connection."""

    app_state: dict[str, Any]
    client: tuple[str, int] | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._channel = SocketWriter(cast(asyncio.Transport, transport))
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
    """What every connection begins with. One too many is ended; so is one that neither asks for
    anything nor reads what it was answered.
    """

    def __init__(self, limits: ConnectionLimits, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._limits = limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wait_for_request()
        if self._is_one_too_many():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._waiting.cancel()
        self._wait_for_request()
        super().on_response_complete()

    def _wait_for_request(self, answer_left: float = inf) -> None:
        limit = self._limits.ask_within
        self._waiting = self.loop.call_later(limit, self._give_up, answer_left)

    def _give_up(self, answer_left: float) -> None:
        is_http = self.transport.get_protocol() is self
        if is_http and (self.cycle is None or self.cycle.response_complete):
            if 0 < self._channel.waiting < answer_left:
                # It still reads the last answer.
                self._wait_for_request(self._channel.waiting)
            else:
                self.transport.abort()

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > self._limits.in_all:
            return True
        if self.client is None or self.client[0] == PROXY:
            return False
        address = self.client[0]
        peers = [each.client for each in self.connections if isinstance(each, WithChannel)]
        of_this_one = sum(peer is not None and peer[0] == address for peer in peers)
        return of_this_one > self._limits.per_address


class WebSocketProtocol(WithChannel, WebSocketsSansIOProtocol):
    pass


def http_protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """For uvicorn, which makes one for each connection."""
    return cast(type[asyncio.Protocol], partial(HttpProtocol, limits))
