"""Binance's public protocol: the raw stream `!miniTicker@arr` and `GET /api/v3/exchangeInfo`.

As github.com/binance/binance-spot-api-docs says it, web-socket-streams.md and rest-api.md.
"""

import asyncio
import json
import math
from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from infra.exchange.binance_frames import DIALECT, error, refusal
from infra.exchange.connection import Connection, Observer
from infra.exchange.connections import Connections
from infra.exchange.encoding import encode_json
from infra.exchange.faults import RefuseSubscription, TooManyRequests, Unauthorized
from infra.exchange.feed import Feed, Subscribers, now_ms
from infra.exchange.heartbeat import Heartbeat
from infra.exchange.limits import BinanceLimits
from infra.exchange.symbols import Pair

STREAM = "!miniTicker@arr"


class Binance:
    """All clients hear the same feed."""

    def __init__(
        self,
        feed: Feed,
        listing: Sequence[Pair],
        trading: Sequence[Pair],
        limits: BinanceLimits | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`listing` is every symbol there is, `trading` those of them that trade."""
        self._feed = feed
        self._symbols = exchange_symbols(listing, trading)
        self._limits = limits or BinanceLimits()
        self.connections = Connections(DIALECT, self._limits.connection_lifetime, observer)
        self.subscribers = Subscribers()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v3/exchangeInfo", self._exchange_info),
            web.get("/ws", self._stream),
            web.get("/ws/{streams:.+}", self._stream),
        ]

    async def run(self) -> None:
        await self._feed.run(self.subscribers)

    async def _exchange_info(self, request: web.Request) -> web.Response:
        answer = {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": self._symbols,
        }
        return web.json_response(answer, dumps=encode_json)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.connections.refusal(Unauthorized):
            return web.json_response({"code": -1002, "msg": "Unauthorized"}, status=401)
        if busy := self.connections.refusal(TooManyRequests):
            return too_many_requests(busy.wait)
        async with self.connections.accept(request) as connection:
            try:
                streams = request.match_info.get("streams")
                if streams and (refused := self._subscribe(connection, streams.split("/"))):
                    connection.send(refused)
                await self._listen(connection)
            finally:
                self.subscribers.discard(connection)
        return connection.socket

    async def _listen(self, connection: Connection) -> None:
        clock = asyncio.get_running_loop().time
        heartbeat = Heartbeat(self._limits.ping_interval, self._limits.pong_timeout, clock())
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
            if message.type is WSMsgType.PONG:
                heartbeat.pong(bytes(message.data))
            elif message.type is WSMsgType.TEXT:
                connection.send(self._answer(connection, message.data))

    def _answer(self, connection: Connection, text: str) -> str:
        """Do what a request says.

        {"method":"SUBSCRIBE","params":["!miniTicker@arr"],"id":1} -> {"result":null,"id":1}
        """
        try:
            request = json.loads(text)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            return refusal(3, f"Invalid JSON: expected value at {where}")
        request_id = request.get("id") if isinstance(request, dict) else None
        result: list[str] | None = None
        match request:
            case {"method": "SUBSCRIBE", "params": [*streams]}:
                if refused := self._subscribe(connection, streams, request_id):
                    return refused
            case {"method": "UNSUBSCRIBE", "params": [*streams]}:
                if STREAM in streams:
                    self.subscribers.discard(connection)
            case {"method": "LIST_SUBSCRIPTIONS"}:
                result = [STREAM] if connection in self.subscribers else []
            case {"method": method}:
                known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`"
                problem = f"unknown variant `{method}`, expected one of {known}"
                return refusal(2, f"Invalid request: {problem}", request_id)
            case _:
                return refusal(2, "Invalid request: missing field `method`", request_id)
        return encode_json({"result": result, "id": request_id})

    def _subscribe(
        self, connection: Connection, streams: Sequence[object], request_id: object = None
    ) -> str | None:
        """All or nothing: the refusal, if there is a stream among them that can't be had."""
        if refused := connection.opening(RefuseSubscription):
            return error(refused.code, request_id)
        if any(stream != STREAM for stream in streams):
            return refusal(2, "Invalid request: invalid stream", request_id)
        if streams:
            self.subscribers.add(connection)
        return None


def too_many_requests(wait: float) -> web.Response:
    """HTTP 429; Retry-After tells in whole seconds when to ask again."""
    return web.json_response(
        {"code": -1003, "msg": "Too many requests."},
        status=429,
        headers={"Retry-After": str(math.ceil(wait))},
    )


def exchange_symbols(listing: Sequence[Pair], trading: Sequence[Pair]) -> list[dict[str, str]]:
    """What `exchangeInfo` says of each: BREAK is the status of those that no longer trade."""
    symbols = {pair.symbol for pair in trading}
    return [
        {
            "symbol": pair.symbol,
            "status": "TRADING" if pair.symbol in symbols else "BREAK",
            "baseAsset": pair.base,
            "quoteAsset": pair.quote,
        }
        for pair in listing
    ]
