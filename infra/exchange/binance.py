"""Binance's public protocol: the raw stream `!miniTicker@arr` and `GET /api/v3/exchangeInfo`.

As github.com/binance/binance-spot-api-docs says it, web-socket-streams.md and rest-api.md.
"""

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn

from aiohttp import WSCloseCode, WSMsgType, web

from infra.exchange.connection import Connection, Connections, encode_json
from infra.exchange.feed import Subscribers, now_ms, run_feed
from infra.exchange.instrument import Instrument
from infra.exchange.market import Market
from infra.exchange.symbols import Pair

STREAM = "!miniTicker@arr"


class Heartbeat:
    """When to ping a client, and when to give it up. Times are seconds and are passed in.

    Only a pong that repeats the payload of a ping counts.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._next_ping = now + interval
        self._unanswered: dict[bytes, float] = {}

    def due(self) -> float:
        """When there is next something to do."""
        return min([self._next_ping, *(sent + self._timeout for sent in self._unanswered.values())])

    def is_lost(self, now: float) -> bool:
        return any(now >= sent + self._timeout for sent in self._unanswered.values())

    def ping(self, payload: bytes, now: float) -> None:
        self._unanswered[payload] = now
        self._next_ping += self._interval

    def pong(self, payload: bytes) -> None:
        if payload in self._unanswered:
            self._unanswered.clear()


class Binance:
    """All clients see the same market. It stands still while nobody listens."""

    def __init__(
        self,
        market: Market,
        listing: Sequence[Pair],
        *,
        ping_interval: float = 20.0,
        pong_timeout: float = 60.0,
    ) -> None:
        """`listing` is every symbol there is; the market's are those that trade."""
        self._market = market
        self._symbols = exchange_symbols(listing, market)
        self._ping_interval = ping_interval
        self._pong_timeout = pong_timeout
        self._connections = Connections("binance")
        self.subscribers = Subscribers()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v3/exchangeInfo", self._exchange_info),
            web.get("/ws", self._stream),
            web.get("/ws/{streams:.+}", self._stream),
        ]

    async def run(self) -> NoReturn:
        await run_feed(self._market, self.subscribers, mini_ticker_array)

    async def shut_down(self) -> None:
        """Binance announces its shutdown, and then disconnects."""
        announcement = encode_json({"e": "serverShutdown", "E": now_ms()})
        for connection in self._connections:
            connection.send(announcement)
        await self._connections.close()

    async def _exchange_info(self, request: web.Request) -> web.Response:
        answer = {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": self._symbols,
        }
        return web.json_response(answer, dumps=encode_json)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        async with self._connections.accept(request) as connection:
            try:
                streams = request.match_info.get("streams")
                if streams and not self._subscribe(connection, streams.split("/")):
                    connection.send(refusal(2, "Invalid request: invalid stream"))
                await self._listen(connection)
            finally:
                self.subscribers.discard(connection)
        return connection.socket

    async def _listen(self, connection: Connection) -> None:
        clock = asyncio.get_running_loop().time
        heartbeat = Heartbeat(self._ping_interval, self._pong_timeout, clock())
        while True:
            try:
                async with asyncio.timeout_at(heartbeat.due()):
                    message = await connection.receive()
            except TimeoutError:
                if heartbeat.is_lost(clock()):
                    await connection.close(WSCloseCode.POLICY_VIOLATION, "Pong timeout")
                    return
                payload = str(now_ms()).encode()
                heartbeat.ping(payload, clock())
                await connection.socket.ping(payload)
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
                if not self._subscribe(connection, streams):
                    return refusal(2, "Invalid request: invalid stream", request_id)
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

    def _subscribe(self, connection: Connection, streams: Sequence[object]) -> bool:
        """All or nothing: False if there is a stream among them that this server does not have."""
        if any(stream != STREAM for stream in streams):
            return False
        if streams:
            self.subscribers.add(connection)
        return True


def refusal(code: int, problem: str, request_id: object = None) -> str:
    """{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}"""
    return encode_json({"error": {"code": code, "msg": problem}, "id": request_id})


def mini_ticker_array(changes: Sequence[Instrument]) -> list[str]:
    """One array of those that changed, each with the time of its own change.

    [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000",
      "o":"87304.35000000","h":"87728.27000000","l":"85300.01000000",
      "v":"20230.79019000","q":"1754434346.25694750"}, ...]
    """
    return [encode_json([mini_ticker(instrument) for instrument in changes])]


def mini_ticker(instrument: Instrument) -> dict[str, Any]:
    price, size = instrument.pair.price_increment, instrument.pair.size_increment
    day = instrument.day
    return {
        "e": "24hrMiniTicker",
        "E": instrument.traded_at,
        "s": instrument.pair.symbol,
        "c": decimal_text(instrument.price * price),
        "o": decimal_text(day.open * price),
        "h": decimal_text(day.high * price),
        "l": decimal_text(day.low * price),
        "v": decimal_text(day.base_volume * size),
        "q": decimal_text(day.quote_volume * price * size),
    }


def decimal_text(amount: Decimal) -> str:
    """Always eight decimals: 85439.99000000."""
    return f"{amount:.8f}"


def exchange_symbols(listing: Sequence[Pair], market: Market) -> list[dict[str, str]]:
    """What `exchangeInfo` says of each: BREAK is the status of those that no longer trade."""
    trading = {instrument.pair.symbol for instrument in market.instruments}
    return [
        {
            "symbol": pair.symbol,
            "status": "TRADING" if pair.symbol in trading else "BREAK",
            "baseAsset": pair.base,
            "quoteAsset": pair.quote,
        }
        for pair in listing
    ]
