"""The open connections of one exchange, and the faults that are meant for them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from aiohttp import WSCloseCode, web

from infra.exchange.connection import Connection, Observer
from infra.exchange.disturbances import Dialect
from infra.exchange.faults import Disturbance, Fault, Opening, Refusal
from infra.exchange.waiting import Waiting

log = logging.getLogger(__name__)

# How long a client may take to answer a close, in seconds.
CLOSE_TIMEOUT = 5.0

Reach = int | Literal["every", "standing"]
"""Which connections a fault is meant for: the next so many, every one from now on, or those that
are open now."""

RefusalFault = TypeVar("RefusalFault", bound=Refusal)


class Connections:
    def __init__(self, dialect: Dialect, lifetime: float, observer: Observer | None) -> None:
        """After its lifetime, in seconds, a connection is closed."""
        self._dialect = dialect
        self._lifetime = lifetime
        self._observer = observer
        self._open: set[Connection] = set()
        self._waiting = Waiting()

    def inflict(self, fault: Fault, reach: Reach) -> None:
        """Raises ValueError for a fault that can't be had here."""
        exchange, name = self._dialect.exchange, fault.name()
        if type(fault) in self._dialect.lacks:
            raise ValueError(f"fault={name!r}: {exchange} has no place for it")
        match reach:
            case "standing":
                if not isinstance(fault, Disturbance):
                    raise ValueError(f"connections='standing': too late for {name}")
                for connection in self._open:
                    connection.suffer(fault)
            case "every":
                self._waiting.add(fault, None)
            case _:
                self._waiting.add(fault, reach)

    def clear(self) -> None:
        """No fault waits any more, and the open connections recover."""
        self._waiting.clear()
        for connection in self._open:
            connection.recover()

    def refusal(self, kind: type[RefusalFault]) -> RefusalFault | None:
        """Whether the request that is being answered is to be refused."""
        return next(iter(self._waiting.take(kind)), None)

    def shut_down(self) -> None:
        for connection in self._open:
            connection.announce_shutdown()
            connection.close(WSCloseCode.GOING_AWAY, "server shutdown")

    @asynccontextmanager
    async def accept(self, request: web.Request) -> AsyncIterator[Connection]:
        """The WebSocket that a request asks for. Its opening and its end are a line in the log.

        The block is cut short when the exchange ends the connection.
        """
        socket = web.WebSocketResponse(
            autoping=False, autoclose=False, compress=False, timeout=CLOSE_TIMEOUT
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            exchange = self._dialect.exchange
            raise ConnectionResetError(f"{exchange}: the client left during the handshake")
        connection = Connection(self._dialect, socket, transport, self._lifetime, self._observer)
        log.info("%s opened", connection)
        for opening in self._waiting.take(Opening):
            connection.suffer(opening)
        for disturbance in self._waiting.take(Disturbance):
            connection.suffer(disturbance)
        self._open.add(connection)
        try:
            async with connection.open():
                yield connection
        finally:
            self._open.discard(connection)
            frames, reason = connection.frames, connection.reason
            log.info("%s closed after %d frames: %s", connection, frames, reason)
