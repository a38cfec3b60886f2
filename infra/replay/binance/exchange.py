"""Serve Binance's public WebSocket: raw streams below /ws, combined streams at /stream.

Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md.
"""

import asyncio
import math
from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from infra.replay.answers import json_answer
from infra.replay.binance.commands import BinanceCommands
from infra.replay.binance.frames import DIALECT
from infra.replay.binance.rest import BinanceRest
from infra.replay.connection import Connection, Observer
from infra.replay.connections import Connections
from infra.replay.faults.faults import TooManyRequests, Unauthorized
from infra.replay.faults.limits import BinanceLimits
from infra.replay.faults.rates import Meter
from infra.replay.heartbeat import Heartbeat
from infra.replay.market.symbols import Pair
from infra.replay.source import Source, now_ms
from infra.replay.streams import Subscriptions


class Binance:
    """All clients of a stream receive the same texts."""

    def __init__(
        self,
        source: Source,
        listing: Sequence[Pair],
        trading: Sequence[Pair],
        limits: BinanceLimits | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`listing` has every symbol, `trading` those that trade."""
        self._source = source
        self._limits = limits or BinanceLimits()
        self._quotas = self._limits.quotas
        self._attempts = Meter(self._quotas.connections) if self._quotas else None
        self.connections = Connections(DIALECT, self._limits.connection_lifetime, observer)
        self._rest = BinanceRest(source, listing, trading, self._quotas, self.connections)
        self._subscriptions = Subscriptions()
        self._commands = BinanceCommands(source, self._subscriptions)

    def routes(self) -> list[web.RouteDef]:
        return [
            *self._rest.routes(),
            web.get("/ws", self._raw),
            web.get("/ws/{streams:.*}", self._raw),
            web.get("/stream", self._combined),
            web.get("/stream/", self._combined),
        ]

    async def run(self) -> None:
        await self._source.run(self._subscriptions)

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.match_info.get("streams", ""), is_combined=False)

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.query.get("streams", ""), is_combined=True)

    async def _serve(
        self, request: web.Request, streams: str, *, is_combined: bool
    ) -> web.StreamResponse:
        if self.connections.take_request_fault(Unauthorized):
            return json_answer({"code": -1002, "msg": "Unauthorized"}, status=401)
        if busy := self.connections.take_request_fault(TooManyRequests):
            return too_many_requests(busy.wait)
        if request.query.get("timeUnit", "millisecond").lower() != "millisecond":
            # Timestamps here have millisecond precision; a client would read them as microseconds.
            return json_answer({"code": -1130, "msg": "Invalid data sent for a parameter."}, 400)
        if self._attempts:
            clock = asyncio.get_running_loop().time
            if wait := self._attempts.spend(str(request.remote), 1, clock()):
                return too_many_requests(wait)
        async with self.connections.accept(request) as connection:
            try:
                self._commands.open(connection, streams.split("/"), is_combined=is_combined)
                await self._listen(connection)
            finally:
                self._subscriptions.drop(connection)
        return connection.socket

    async def _listen(self, connection: Connection) -> None:
        clock = asyncio.get_running_loop().time
        heartbeat = Heartbeat(self._limits.ping_interval, self._limits.pong_timeout, clock())
        messages = Meter(self._quotas.messages) if self._quotas else None
        while True:
            try:
                async with asyncio.timeout_at(heartbeat.due()):
                    message = await connection.receive()
            except TimeoutError:
                if heartbeat.is_lost(clock()):
                    connection.close(WSCloseCode.POLICY_VIOLATION, "Pong timeout")
                    return
                payload = str(now_ms()).encode()
                heartbeat.ping(payload, clock())
                await connection.ping(payload)
                continue
            if message is None:
                return
            if message.type is WSMsgType.PONG and heartbeat.pong(bytes(message.data)):
                # Not counted: pings here may come more often than Binance's.
                continue
            if messages and messages.spend("", 1, clock()):
                connection.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
                return
            if message.type is WSMsgType.TEXT:
                connection.send(self._commands.answer(connection, message.data))


def too_many_requests(wait: float) -> web.Response:
    """Return HTTP 429 with Retry-After in whole seconds."""
    return json_answer(
        {"code": -1003, "msg": "Too many requests."},
        status=429,
        headers={"Retry-After": str(math.ceil(wait))},
    )
