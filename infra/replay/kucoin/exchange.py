"""Serve KuCoin's public WebSocket: bullet-public issues a token, which opens a connection.

Source: www.kucoin.com/docs-new (websocket-api/base-info/introduction, error-code/websocket).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from infra.replay.answers import json_answer
from infra.replay.connection import Connection, Observer
from infra.replay.connections import Connections
from infra.replay.encoding import encode_json
from infra.replay.faults.faults import NoWelcome, RefuseWelcome, TooManyRequests, Unauthorized
from infra.replay.faults.limits import KucoinLimits
from infra.replay.faults.rates import Meter
from infra.replay.kucoin.commands import KucoinCommands
from infra.replay.kucoin.frames import DIALECT, PROBLEMS, refusal
from infra.replay.kucoin.rest import KucoinRest, too_many_requests
from infra.replay.kucoin.tokens import Tokens
from infra.replay.source import Source
from infra.replay.streams import Subscriptions

log = logging.getLogger(__name__)


class Kucoin:
    """KuCoin's public WebSocket and REST. All clients of a topic receive the same texts."""

    def __init__(
        self,
        source: Source,
        listing: Sequence[dict[str, Any]],
        limits: KucoinLimits | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`listing` is the data of KuCoin's answer to `GET /api/v1/symbols`."""
        self._source = source
        self._limits = limits or KucoinLimits()
        self._quotas = self._limits.quotas
        self._attempts = Meter(self._quotas.connections) if self._quotas else None
        self._tokens = Tokens(self._limits.token_lifetime, once=self._limits.tokens_once)
        self.connections = Connections(DIALECT, self._limits.connection_lifetime, observer)
        self._rest = KucoinRest(source, listing, self._quotas, self.connections)
        self._subscriptions = Subscriptions()
        symbols = {listed["symbol"] for listed in listing}
        self._commands = KucoinCommands(source, self._subscriptions, symbols)

    def routes(self) -> list[web.RouteDef]:
        return [
            *self._rest.routes(),
            self._rest.post("/api/v1/bullet-public", self._bullet_public, weight=10),
            web.get("/", self._socket),
        ]

    async def run(self) -> None:
        await self._source.run(self._subscriptions)

    async def _bullet_public(self, request: web.Request) -> web.Response:
        """Return a token, and an endpoint on the host of the request."""
        if busy := self.connections.take_request_fault(TooManyRequests):
            return too_many_requests(busy.wait)
        server = {
            "endpoint": f"ws://{request.host}/",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": round(self._limits.ping_interval * 1000),
            "pingTimeout": round(self._limits.ping_timeout * 1000),
        }
        token = self._tokens.issue(time.monotonic())
        return json_answer(
            {"code": "200000", "data": {"token": token, "instanceServers": [server]}}
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.connections.take_request_fault(Unauthorized):
            problem: str | None = PROBLEMS[401]
        else:
            problem = self._tokens.use(request.query.get("token", ""), time.monotonic())
        if problem:
            log.info("kucoin %s refused: %s", request.remote, problem)
            return json_answer({"code": "401", "msg": problem}, status=401)
        connect_id = request.query.get("connectId") or secrets.token_hex(8)
        exceeds_quota = (
            self._attempts is not None
            and self._attempts.spend(str(request.remote), 1, time.monotonic()) > 0
        )
        async with self.connections.accept(request) as connection:
            if exceeds_quota:
                connection.send(refusal(connect_id, 509))
                connection.close(WSCloseCode.TRY_AGAIN_LATER, "too many connections")
                return connection.socket
            try:
                self._welcome(connection, connect_id)
                await self._listen(connection, connect_id)
            finally:
                self._subscriptions.drop(connection)
        return connection.socket

    def _welcome(self, connection: Connection, connect_id: str) -> None:
        if refused := connection.opening(RefuseWelcome):
            connection.send(refusal(connect_id, refused.code))
        elif not connection.opening(NoWelcome):
            connection.send(encode_json({"id": connect_id, "type": "welcome"}))

    async def _listen(self, connection: Connection, connect_id: str) -> None:
        messages = Meter(self._quotas.messages) if self._quotas else None
        while True:
            try:
                async with asyncio.timeout(self._limits.silence_timeout):
                    text = await next_text(connection)
            except TimeoutError:
                connection.send(refusal(connect_id, 400, "ping timeout"))
                connection.close(WSCloseCode.OK, "ping timeout")
                return
            if text is None:
                return
            # The meter counts this connection only, so it needs no key.
            if messages and messages.spend("", 1, time.monotonic()):
                connection.send(refusal(connect_id, 509))
            else:
                self._commands.answer(connection, text, connect_id)


async def next_text(connection: Connection) -> str | None:
    """Return the client's next text, None at the end. Pings and binary frames are skipped."""
    while message := await connection.receive():
        if message.type is WSMsgType.TEXT:
            return str(message.data)
    return None
