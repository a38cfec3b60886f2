"""KuCoin's public protocol: bullet-public, the topic `/market/ticker:all`, the list of symbols.

As www.kucoin.com/docs-new says it (websocket-api/base-info/introduction, error-code/websocket).
"""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from infra.exchange.connection import Connection, Observer
from infra.exchange.connections import Connections
from infra.exchange.encoding import encode_frames, encode_json
from infra.exchange.faults import (
    NoAck,
    NoWelcome,
    RefuseSubscription,
    RefuseWelcome,
    TooManyRequests,
    Unauthorized,
)
from infra.exchange.feed import Feed, Subscribers
from infra.exchange.kucoin_frames import DIALECT, PROBLEMS, TOPIC, refusal
from infra.exchange.limits import KucoinLimits
from infra.exchange.tokens import Tokens

log = logging.getLogger(__name__)


class Kucoin:
    """All clients hear the same feed."""

    def __init__(
        self,
        feed: Feed,
        listing: Sequence[dict[str, Any]],
        limits: KucoinLimits | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`listing` is the data of the answer to `GET /api/v2/symbols`."""
        self._feed = feed
        self._listing = listing
        self._limits = limits or KucoinLimits()
        self._tokens = Tokens(self._limits.token_lifetime, once=self._limits.tokens_once)
        self.connections = Connections(DIALECT, self._limits.connection_lifetime, observer)
        self.subscribers = Subscribers()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/bullet-public", self._bullet_public),
            web.get("/api/v2/symbols", self._symbols),
            web.get("/", self._socket),
        ]

    async def run(self) -> None:
        await self._feed.run(self.subscribers)

    async def _bullet_public(self, request: web.Request) -> web.Response:
        """A token, and an endpoint that leads back to the host that was asked."""
        if busy := self.connections.refusal(TooManyRequests):
            return too_many_requests(busy.wait)
        server = {
            "endpoint": f"ws://{request.host}/",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": round(self._limits.ping_interval * 1000),
            "pingTimeout": round(self._limits.ping_timeout * 1000),
        }
        token = self._tokens.issue(time.monotonic())
        return web.json_response(
            {"code": "200000", "data": {"token": token, "instanceServers": [server]}}
        )

    async def _symbols(self, request: web.Request) -> web.Response:
        return web.json_response({"code": "200000", "data": self._listing})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        problem = self._tokens.use(request.query.get("token", ""), time.monotonic())
        if self.connections.refusal(Unauthorized):
            problem = PROBLEMS[401]
        if problem:
            log.info("kucoin %s refused: %s", request.remote, problem)
            return web.json_response({"code": "401", "msg": problem}, status=401)
        connect_id = request.query.get("connectId") or secrets.token_hex(8)
        async with self.connections.accept(request) as connection:
            try:
                self._welcome(connection, connect_id)
                await self._listen(connection, connect_id)
            finally:
                self.subscribers.discard(connection)
        return connection.socket

    def _welcome(self, connection: Connection, connect_id: str) -> None:
        if refused := connection.opening(RefuseWelcome):
            connection.send(refusal(connect_id, refused.code))
        elif not connection.opening(NoWelcome):
            connection.send(encode_json({"id": connect_id, "type": "welcome"}))

    async def _listen(self, connection: Connection, connect_id: str) -> None:
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
            self._answer(connection, text, connect_id)

    def _answer(self, connection: Connection, text: str, connect_id: str) -> None:
        """Do what a command says.

        {"id":"1","type":"ping"} -> {"id":"1","type":"pong","timestamp":1764229947440563}
        {"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}
            -> {"id":"1","type":"ack"}, and only then data
        """
        command = parse_command(text)
        # An error carries the connection's id where the command has none.
        command_id = str(command.get("id", connect_id))
        match command.get("type"):
            case "ping":
                pong = {"id": command_id, "type": "pong", "timestamp": time.time_ns() // 1000}
                connection.send(encode_json(pong))
            case "subscribe" | "unsubscribe":
                if problem := topic_problem(command.get("topic")):
                    connection.send(refusal(command_id, *problem))
                else:
                    self._change(connection, command, command_id)
            case _:
                connection.send(refusal(command_id, 415))

    def _change(self, connection: Connection, command: dict[str, Any], command_id: str) -> None:
        """Subscribe or unsubscribe."""
        if connection.opening(NoAck):
            return
        if refused := connection.opening(RefuseSubscription):
            connection.send(refusal(command_id, refused.code))
            return
        if command.get("response") is True:
            connection.send(encode_json({"id": command_id, "type": "ack"}))
        if command["type"] == "unsubscribe":
            self.subscribers.discard(connection)
        elif connection not in self.subscribers:
            # First a burst, every symbol as it stands.
            texts = self._feed.snapshot()
            connection.send_data(texts, encode_frames(texts))
            self.subscribers.add(connection)


async def next_text(connection: Connection) -> str | None:
    """The client's next text, None at the end. Protocol pings and binary frames do not count."""
    while message := await connection.receive():
        if message.type is WSMsgType.TEXT:
            return str(message.data)
    return None


def parse_command(text: str) -> dict[str, Any]:
    """What is no JSON object is a command without a type."""
    try:
        command = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return command if isinstance(command, dict) else {}


def topic_problem(topic: object) -> tuple[int, str] | None:
    """The code and KuCoin's words for it."""
    if not topic:
        return 406, PROBLEMS[406]
    if not (isinstance(topic, str) and re.fullmatch(r"/\S+", topic)):
        return 400, f"topic {topic} is invalid"
    if topic != TOPIC:
        return 404, PROBLEMS[404]
    return None


def too_many_requests(wait: float) -> web.Response:
    """HTTP 429; gw-ratelimit-reset tells in milliseconds when to ask again."""
    return web.json_response(
        {"code": "429000", "msg": "too many requests"},
        status=429,
        headers={
            "gw-ratelimit-limit": "2000",
            "gw-ratelimit-remaining": "0",
            "gw-ratelimit-reset": str(round(wait * 1000)),
        },
    )
