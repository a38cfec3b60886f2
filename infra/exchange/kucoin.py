"""KuCoin's public protocol: bullet-public, the topic `/market/ticker:all`, the list of symbols.

As www.kucoin.com/docs-new says it (websocket-api/base-info/introduction, error-code/websocket).
"""

import asyncio
import json
import logging
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn

from aiohttp import WSCloseCode, WSMsgType, web

from infra.exchange.connection import Connection, Connections, encode_json
from infra.exchange.feed import Subscribers, run_feed
from infra.exchange.instrument import Instrument
from infra.exchange.market import Market

log = logging.getLogger(__name__)

TOPIC = "/market/ticker:all"
# A period is 100 ms, and the feed has a turn in each of its parts.
PARTS = 10

PING_INTERVAL_MS = 18_000
PING_TIMEOUT_MS = 10_000


class Tokens:
    """Those that were given out, each good for a while. Times are seconds and are passed in."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._expiries: dict[str, float] = {}

    def issue(self, now: float) -> str:
        """Of KuCoin's shape, with characters that a URL must escape: 2neAiuYv.mvnekBb8DJe+ZIg=="""
        self._expiries = {token: at for token, at in self._expiries.items() if now < at}
        token = f"{secrets.token_urlsafe(120)}.{b64encode(secrets.token_bytes(16)).decode()}"
        self._expiries[token] = now + self._lifetime
        return token

    def problem(self, token: str, now: float) -> str | None:
        """What is wrong with it, in KuCoin's words."""
        expiry = self._expiries.get(token)
        if expiry is None:
            return "token is invalid"
        return None if now < expiry else "token is expired"


class Kucoin:
    """All clients see the same market. It stands still while nobody listens."""

    def __init__(
        self,
        market: Market,
        listing: Sequence[dict[str, Any]],
        *,
        silence_timeout: float = 60.0,
        token_lifetime: float = 24 * 3600.0,
    ) -> None:
        """`listing` is the data of the answer to `GET /api/v2/symbols`."""
        self._market = market
        self._listing = listing
        self._silence_timeout = silence_timeout
        self._tokens = Tokens(token_lifetime)
        self._connections = Connections("kucoin")
        self.subscribers = Subscribers()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/bullet-public", self._bullet_public),
            web.get("/api/v2/symbols", self._symbols),
            web.get("/", self._socket),
        ]

    async def run(self) -> NoReturn:
        await run_feed(self._market, self.subscribers, tickers, PARTS)

    async def shut_down(self) -> None:
        await self._connections.close()

    async def _bullet_public(self, request: web.Request) -> web.Response:
        """A token, and an endpoint that leads back to the host that was asked."""
        server = {
            "endpoint": f"ws://{request.host}/",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": PING_INTERVAL_MS,
            "pingTimeout": PING_TIMEOUT_MS,
        }
        token = self._tokens.issue(time.monotonic())
        return web.json_response(
            {"code": "200000", "data": {"token": token, "instanceServers": [server]}}
        )

    async def _symbols(self, request: web.Request) -> web.Response:
        return web.json_response({"code": "200000", "data": self._listing})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        problem = self._tokens.problem(request.query.get("token", ""), time.monotonic())
        if problem:
            log.info("kucoin %s refused: %s", request.remote, problem)
            return web.json_response({"code": "401", "msg": problem}, status=401)
        connect_id = request.query.get("connectId") or secrets.token_hex(8)
        async with self._connections.accept(request) as connection:
            try:
                connection.send(encode_json({"id": connect_id, "type": "welcome"}))
                await self._listen(connection, connect_id)
            finally:
                self.subscribers.discard(connection)
        return connection.socket

    async def _listen(self, connection: Connection, connect_id: str) -> None:
        while True:
            try:
                async with asyncio.timeout(self._silence_timeout):
                    text = await next_text(connection)
            except TimeoutError:
                connection.send(refusal(connect_id, 400, "ping timeout"))
                await connection.close(WSCloseCode.OK, "ping timeout")
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
                return
            case "subscribe":
                change = self._subscribe
            case "unsubscribe":
                change = self.subscribers.discard
            case _:
                connection.send(refusal(command_id, 415, "command type is invalid"))
                return
        if problem := topic_problem(command.get("topic")):
            connection.send(refusal(command_id, *problem))
            return
        if command.get("response") is True:
            connection.send(encode_json({"id": command_id, "type": "ack"}))
        change(connection)

    def _subscribe(self, connection: Connection) -> None:
        """First a burst, every symbol as it stands."""
        if connection not in self.subscribers:
            connection.send(*tickers(self._market.instruments))
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
        return 406, "topic is required"
    if not (isinstance(topic, str) and re.fullmatch(r"/\S+", topic)):
        return 400, f"topic {topic} is invalid"
    if topic != TOPIC:
        return 404, "topic does not exist"
    return None


def refusal(command_id: str, code: int, problem: str) -> str:
    """{"id":"1","type":"error","code":404,"data":"topic does not exist"}"""
    return encode_json({"id": command_id, "type": "error", "code": code, "data": problem})


def tickers(instruments: Sequence[Instrument]) -> list[str]:
    """One frame each."""
    return [encode_json(ticker(instrument)) for instrument in instruments]


def ticker(instrument: Instrument) -> dict[str, Any]:
    """`time` is that of the last trade.

    {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{
        "bestAsk":"0.10605","bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160",
        "price":"0.10604","sequence":"915875484","size":"159.3256","time":1743147198992}}
    """
    price, size = instrument.pair.price_increment, instrument.pair.size_increment
    return {
        "topic": TOPIC,
        "type": "message",
        "subject": instrument.pair.symbol,
        "data": {
            "bestAsk": decimal_text(instrument.ask * price),
            "bestAskSize": decimal_text(instrument.ask_size * size),
            "bestBid": decimal_text(instrument.bid * price),
            "bestBidSize": decimal_text(instrument.bid_size * size),
            "price": decimal_text(instrument.price * price),
            "sequence": str(instrument.sequence),
            "size": decimal_text(instrument.size * size),
            "time": instrument.traded_at,
        },
    }


def decimal_text(amount: Decimal) -> str:
    """No zeros at the end and no exponent: 0.000000114, 2160."""
    return f"{amount.normalize():f}"
