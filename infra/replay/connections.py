"""Track the open connections of one exchange and inflict faults on them."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from aiohttp import WSCloseCode, web

from infra.replay.connection import Connection, Observer
from infra.replay.faults.disturbances import Dialect
from infra.replay.faults.faults import Disturbance, Fault, Opening, RequestFault
from infra.replay.faults.waiting import Waiting

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 5.0
"""Timeout for a client's answer to a close, in seconds."""

Reach = int | Literal["every", "open"]
"""Connections that a fault affects: the next n, every new one, or all that are open now."""

TakenFault = TypeVar("TakenFault", bound=RequestFault)


class Connections:
    def __init__(self, dialect: Dialect, lifetime: float, observer: Observer | None) -> None:
        """Each connection is closed after `lifetime` seconds."""
        self._dialect = dialect
        self._lifetime = lifetime
        self._observer = observer
        self._open: set[Connection] = set()
        self._waiting = Waiting()

    def inflict(self, fault: Fault, reach: Reach) -> None:
        """Apply the fault to open connections, or keep it pending for the next ones.

        Raise ValueError if the exchange's protocol does not have the fault, or if `reach` is "open" and
        the fault can't affect open connections.
        """
        exchange, name = self._dialect.exchange, fault.name()
        if type(fault) in self._dialect.lacks:
            raise ValueError(f"fault={name!r}: not in the protocol of {exchange}")
        match reach:
            case "open":
                if not isinstance(fault, Disturbance):
                    raise ValueError(f"connections='open': {name} can't affect open connections")
                for connection in self._open:
                    connection.suffer(fault)
            case "every":
                self._waiting.add(fault, None)
            case _:
                self._waiting.add(fault, reach)

    def clear(self) -> None:
        """Remove all faults: the pending ones and those of open connections."""
        self._waiting.clear()
        for connection in self._open:
            connection.recover()

    def take_request_fault(self, kind: type[TakenFault]) -> TakenFault | None:
        """Take the pending fault of this kind for the current request; None if there is none."""
        return next(iter(self._waiting.take(kind)), None)

    def shut_down(self) -> None:
        for connection in self._open:
            connection.announce_shutdown()
            connection.close(WSCloseCode.GOING_AWAY, "server shutdown")

    @asynccontextmanager
    async def accept(self, request: web.Request) -> AsyncIterator[Connection]:
        """Upgrade a request to a WebSocket and keep it open for the block.

        The block is cancelled when the exchange closes the connection. When the exchange breaks it, or
        the client leaves, `receive` returns None. The opening and the end of the connection are logged.
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
