"""Serve KuCoin's public REST API, with its weights and errors.

Sources: www.kucoin.com/docs-new; for error codes, github.com/Kucoin/kucoin-api-docs.
"""

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from exchanges.exchange import CANDLE_SECONDS
from infra.replay.answers import json_answer
from infra.replay.connections import Connections
from infra.replay.faults.faults import CandlesBanned, CandlesChange, CandlesFail, CandlesUnknown
from infra.replay.faults.limits import KUCOIN_QUOTAS, Quotas
from infra.replay.faults.rates import Meter
from infra.replay.kucoin import tickers as kucoin_tickers
from infra.replay.kucoin.frames import decimal_text
from infra.replay.source import PricedCandle, Source, now_ms

TYPES = {"1min": "1m", "1hour": "1h", "1day": "1d"}
"""Types of candles that are served, and their intervals."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


class KucoinRest:
    """Prices are those of the last topic messages."""

    def __init__(
        self,
        source: Source,
        listing: Sequence[dict[str, Any]],
        quotas: Quotas | None,
        connections: Connections,
    ) -> None:
        """Without quotas, weights are counted but no request is refused."""
        self._source = source
        self._listing = {listed["symbol"]: listed for listed in listing}
        self._weights = Meter((quotas or KUCOIN_QUOTAS).weight)
        self._refuses = quotas is not None
        self._connections = connections

    def routes(self) -> list[web.RouteDef]:
        return [
            self._get("/api/v1/timestamp", self._timestamp, weight=3),
            self._get("/api/v1/status", self._status, weight=3),
            self._get("/api/v1/symbols", self._symbols, weight=4),
            self._get("/api/v2/symbols", self._symbols, weight=4),
            self._get("/api/v2/symbols/{symbol}", self._symbol, weight=4),
            self._get("/api/v3/currencies", self._currencies, weight=3),
            self._get("/api/v1/market/allTickers", self._all_tickers, weight=15),
            self._get("/api/v1/market/candles", self._candles, weight=3),
            self._get("/api/v1/market/orderbook/level1", self._level1, weight=2),
            self._get("/api/v1/market/stats", self._stats, weight=15),
        ]

    def post(self, path: str, handler: Handler, weight: int) -> web.RouteDef:
        return web.post(path, self._weighed(handler, weight))

    def _get(self, path: str, handler: Handler, weight: int) -> web.RouteDef:
        return web.get(path, self._weighed(handler, weight))

    def _weighed(self, handler: Handler, weight: int) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            address, now = str(request.remote), time.monotonic()
            wait = self._weights.spend(address, weight, now)
            is_refused = wait and self._refuses
            response = too_many_requests(wait) if is_refused else await handler(request)
            limit = self._weights.quota.amount
            rates = {
                "gw-ratelimit-limit": str(limit),
                "gw-ratelimit-remaining": str(max(0, limit - self._weights.used(address, now))),
                "gw-ratelimit-reset": str(round(self._weights.left(address, now) * 1000)),
            }
            # A refusal already has some of these headers; keep them.
            response.headers.extend({k: v for k, v in rates.items() if k not in response.headers})
            return response

        return answer

    async def _timestamp(self, request: web.Request) -> web.Response:
        return success(now_ms())

    async def _status(self, request: web.Request) -> web.Response:
        return success({"status": "open", "msg": ""})

    async def _symbols(self, request: web.Request) -> web.Response:
        market = request.query.get("market")
        return success(
            [each for each in self._listing.values() if market in (None, each["market"])]
        )

    async def _symbol(self, request: web.Request) -> web.Response:
        listed = self._listing.get(request.match_info["symbol"])
        return success(listed) if listed else unknown_symbol()

    async def _currencies(self, request: web.Request) -> web.Response:
        """Return the traded currencies. Only their codes are known; the other fields are fixed."""
        sides = ("baseCurrency", "quoteCurrency")
        codes = dict.fromkeys(each[side] for each in self._listing.values() for side in sides)
        return success([currency(code) for code in codes])

    async def _all_tickers(self, request: web.Request) -> web.Response:
        state = self._source.state()
        tickers = []
        for symbol in state.symbols():
            name = self._listing.get(symbol, {}).get("name", symbol)
            tickers.append(kucoin_tickers.of_all(symbol, name, state.fields(symbol) or {}))
        return success({"time": now_ms(), "ticker": tickers})

    async def _candles(self, request: web.Request) -> web.Response:
        """Return up to 1,500 candles, newest first. One without trades is missing."""
        if failed := self._connections.take_request_fault(CandlesFail):
            content = {"code": "500000", "msg": "Internal Server Error"}
            return json_answer(content, status=failed.status)
        if banned := self._connections.take_request_fault(CandlesBanned):
            return too_many_requests(banned.wait)
        if self._connections.take_request_fault(CandlesUnknown):
            return unknown_symbol()
        interval, times = request.query.get("type", ""), ("startAt", "endAt")
        given = [request.query.get(name, "0") for name in times]
        if interval not in TYPES or not all(re.fullmatch("[0-9]{1,19}", each) for each in given):
            return invalid_parameter()
        symbol = request.query.get("symbol", "")
        if symbol not in self._listing:
            return unknown_symbol()
        start, end = map(int, given)
        end = end or now_ms() // 1000
        width = CANDLE_SECONDS[TYPES[interval]]
        found = self._source.candles(symbol, TYPES[interval], max(start, end - 1500 * width), end)
        if self._connections.take_request_fault(CandlesChange):
            found = [each.doubled() for each in found]
        return success([candle(each) for each in reversed(found) if each.trades])

    async def _level1(self, request: web.Request) -> web.Response:
        return self._of_symbol(request, lambda symbol, fields: kucoin_tickers.level1(fields))

    async def _stats(self, request: web.Request) -> web.Response:
        return self._of_symbol(
            request, lambda symbol, fields: kucoin_tickers.stats(symbol, fields, now_ms())
        )

    def _of_symbol(
        self, request: web.Request, wording: Callable[[str, kucoin_tickers.Fields], object]
    ) -> web.Response:
        symbol = request.query.get("symbol")
        if not symbol:
            return invalid_parameter()
        fields = self._source.state().fields(symbol)
        if fields is None and symbol not in self._listing:
            return unknown_symbol()
        return success(wording(symbol, fields or {}))


def success(data: object) -> web.Response:
    return json_answer({"code": "200000", "data": data})


def invalid_parameter() -> web.Response:
    return json_answer({"code": "400100", "msg": "Invalid Parameter."}, status=400)


def candle(priced: PricedCandle) -> list[str]:
    """["1566789720","10411.5","10401.9","10411.5","10396.3","29.11357276","302889.301529914"]"""
    amounts = (
        *(priced.open, priced.close, priced.high, priced.low),
        *(priced.base_volume, priced.quote_volume),
    )
    return [str(priced.start), *map(decimal_text, amounts)]


def unknown_symbol() -> web.Response:
    """Return KuCoin's answer: status 200 with an error code."""
    return json_answer({"code": "900001", "msg": "symbol not exists"})


def currency(code: str) -> dict[str, Any]:
    return {
        "currency": code,
        "name": code,
        "fullName": code,
        "precision": 8,
        "confirms": None,
        "contractAddress": None,
        "isMarginEnabled": False,
        "isDebitEnabled": False,
        "chains": [],
    }


def too_many_requests(wait: float) -> web.Response:
    """Return HTTP 429 with the retry delay in gw-ratelimit-reset, in milliseconds."""
    return json_answer(
        {"code": "429000", "msg": "too many requests"},
        status=429,
        headers={
            "gw-ratelimit-remaining": "0",
            "gw-ratelimit-reset": str(round(wait * 1000)),
        },
    )
