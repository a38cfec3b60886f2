"""Serve Binance's public REST API, with its weights and errors.

Source: github.com/binance/binance-spot-api-docs, rest-api.md and errors.md.
"""

import json
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from exchanges.exchange import CANDLE_SECONDS
from infra.replay.answers import json_answer
from infra.replay.binance import tickers as binance_tickers
from infra.replay.binance.frames import decimal_text
from infra.replay.binance.symbols import SymbolList
from infra.replay.connections import Connections
from infra.replay.faults.faults import CandlesBanned, CandlesChange, CandlesFail, CandlesUnknown
from infra.replay.faults.limits import BINANCE_QUOTAS, Quotas
from infra.replay.faults.rates import Meter
from infra.replay.market.symbols import Pair
from infra.replay.source import PricedCandle, Source, now_ms

LEGAL_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"
"""Pattern in Binance's error message. It excludes only a-z: symbols may be non-ASCII."""
TICKERS: Mapping[str, Callable[[str, binance_tickers.Fields], object]] = {
    "FULL": binance_tickers.full,
    "MINI": binance_tickers.mini,
}

Handler = Callable[[web.Request], Awaitable[web.Response]]
Weigh = Callable[[web.Request], int]


class BinanceError(Exception):
    """Answered with HTTP 400."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


class BinanceRest:
    """Prices are those of the last stream messages."""

    def __init__(
        self,
        source: Source,
        listing: Sequence[Pair],
        trading: Sequence[Pair],
        quotas: Quotas | None,
        connections: Connections,
    ) -> None:
        """Without quotas, weights are counted but no request is refused."""
        self._source = source
        self._symbols = SymbolList(listing, trading)
        self._weights = Meter((quotas or BINANCE_QUOTAS).weight)
        self._refuses = quotas is not None
        self._connections = connections

    def routes(self) -> list[web.RouteDef]:
        get = self._get
        return [
            get("/api/v3/ping", self._ping, lambda _: 1),
            get("/api/v3/time", self._time, lambda _: 1),
            get("/api/v3/exchangeInfo", self._exchange_info, lambda _: 20),
            get("/api/v3/klines", self._klines, lambda _: 2),
            get("/api/v3/ticker/24hr", self._day, day_weight),
            get("/api/v3/ticker/price", self._price, price_weight),
            get("/api/v3/ticker/bookTicker", self._book, price_weight),
        ]

    def _get(self, path: str, handler: Handler, weigh: Weigh) -> web.RouteDef:
        async def answer(request: web.Request) -> web.Response:
            address, now = str(request.remote), time.monotonic()
            wait = self._weights.spend(address, weigh(request), now)
            if wait and self._refuses:
                response = too_much_weight(self._weights.quota.amount, wait)
            else:
                try:
                    response = await handler(request)
                except BinanceError as error:
                    content = {"code": error.code, "msg": error.problem}
                    response = json_answer(content, status=400)
            used = str(self._weights.used(address, now))
            response.headers["X-MBX-USED-WEIGHT"] = used
            response.headers["X-MBX-USED-WEIGHT-1M"] = used
            return response

        return web.get(path, answer)

    async def _ping(self, request: web.Request) -> web.Response:
        check_parameters(request, set())
        return json_answer({})

    async def _time(self, request: web.Request) -> web.Response:
        check_parameters(request, set())
        return json_answer({"serverTime": now_ms()})

    async def _exchange_info(self, request: web.Request) -> web.Response:
        check_parameters(request, {"symbol", "symbols", "showPermissionSets"})
        symbols = self._asked(request)
        # A recording may have tickers of symbols that the list lacks.
        if any(each not in self._symbols for each in symbols or ()):
            raise BinanceError(-1121, "Invalid symbol.")
        permission_sets = request.query.get("showPermissionSets") != "false"
        text = self._symbols.answer(now_ms(), symbols, permission_sets=permission_sets)
        return web.Response(text=text, content_type="application/json")

    async def _klines(self, request: web.Request) -> web.Response:
        check_parameters(request, {"symbol", "interval", "startTime", "endTime", "limit"})
        if failed := self._connections.take_request_fault(CandlesFail):
            content = {"code": -1001, "msg": "Internal error; unable to process your request."}
            return json_answer(content, status=failed.status)
        if banned := self._connections.take_request_fault(CandlesBanned):
            return too_much_weight(self._weights.quota.amount, banned.wait)
        if self._connections.take_request_fault(CandlesUnknown):
            raise BinanceError(-1121, "Invalid symbol.")
        symbols = self._asked(request)
        if symbols is None:
            raise BinanceError(-1102, missing("symbol"))
        interval = request.query.get("interval", "")
        if interval not in CANDLE_SECONDS:
            raise BinanceError(-1120, "Invalid interval.")
        limit = min(whole(request, "limit", 500), 1000)
        width = CANDLE_SECONDS[interval] * 1000
        # The first candle starts at startTime or later, the last one at endTime or earlier.
        end = whole(request, "endTime", now_ms()) // width * width + width
        start = -(-whole(request, "startTime", max(0, end - limit * width)) // width) * width
        end = min(end, start + limit * width)
        found = self._source.candles(symbols[0], interval, start // 1000, end // 1000)
        if self._connections.take_request_fault(CandlesChange):
            found = [each.doubled() for each in found]
        return json_answer([kline(each, width) for each in found])

    async def _day(self, request: web.Request) -> web.Response:
        check_parameters(request, {"symbol", "symbols", "type"})
        kind = request.query.get("type", "FULL")
        if kind not in TICKERS:
            raise BinanceError(-1139, "Invalid ticker type.")
        return self._tickers(request, TICKERS[kind])

    async def _price(self, request: web.Request) -> web.Response:
        check_parameters(request, {"symbol", "symbols"})
        return self._tickers(request, binance_tickers.price)

    async def _book(self, request: web.Request) -> web.Response:
        check_parameters(request, {"symbol", "symbols"})
        return self._tickers(request, binance_tickers.book)

    def _tickers(
        self, request: web.Request, wording: Callable[[str, binance_tickers.Fields], object]
    ) -> web.Response:
        """Return one object for `symbol`, else a list: by default, of all symbols with a price."""
        symbols, state = self._asked(request), self._source.state()
        chosen = state.symbols() if symbols is None else symbols
        answers = [wording(symbol, state.fields(symbol) or {}) for symbol in chosen]
        content = answers[0] if "symbol" in request.query else answers
        return json_answer(content)

    def _asked(self, request: web.Request) -> list[str] | None:
        """Return the symbols in a request, None if it has none.

        Raise BinanceError for an unknown symbol.
        """
        symbols = symbols_in(request.query)
        if symbols is None:
            return None
        state = self._source.state()
        if any(each not in self._symbols and state.fields(each) is None for each in symbols):
            raise BinanceError(-1121, "Invalid symbol.")
        return symbols


def whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not re.fullmatch("[0-9]{1,19}", text):
        raise BinanceError(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)


def missing(parameter: str) -> str:
    return f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."


def kline(candle: PricedCandle, width: int) -> list[Any]:
    """Return a candle of `klines`. Half of its volume counts as bought by takers."""
    start = candle.start * 1000
    return [
        start,
        *map(decimal_text, candle[1:6]),
        start + width - 1,
        decimal_text(candle.quote_volume),
        candle.trades,
        decimal_text(candle.base_volume / 2),
        decimal_text(candle.quote_volume / 2),
        "0",
    ]


def symbols_in(query: Mapping[str, str]) -> list[str] | None:
    """Return the values of `symbol` or `symbols`. Raise BinanceError if they are malformed."""
    if "symbol" in query and "symbols" in query:
        raise BinanceError(-1128, "Combination of optional parameters invalid.")
    for name in ("symbol", "symbols"):
        if query.get(name) == "":
            raise BinanceError(-1105, f"Parameter '{name}' was empty.")
    if "symbol" in query:
        symbols = [query["symbol"]]
    elif "symbols" in query:
        symbols = listed(query["symbols"])
    else:
        return None
    if len(set(symbols)) < len(symbols):
        raise BinanceError(-1151, "Symbol is present multiple times in the list.")
    for symbol in symbols:
        if not re.fullmatch(r"[\w\-.]{1,50}", symbol) or re.search("[a-z]", symbol):
            name = "symbol" if "symbol" in query else "symbols"
            raise illegal_characters(name)
    return symbols


def listed(text: str) -> list[str]:
    """Parse a JSON list of symbols: ["BTCUSDT","BNBUSDT"]."""
    try:
        symbols = json.loads(text)
    except (ValueError, RecursionError):
        symbols = None
    match symbols:
        case [*names] if all(isinstance(name, str) for name in names):
            return names
        case _:
            raise illegal_characters("symbols")


def illegal_characters(parameter: str) -> BinanceError:
    problem = f"Illegal characters found in parameter '{parameter}'; legal range is"
    return BinanceError(-1100, f"{problem} '{LEGAL_SYMBOL}'.")


def check_parameters(request: web.Request, known: set[str]) -> None:
    """Raise BinanceError for parameters that the endpoint does not accept."""
    sent, read = len(request.query), len(known & set(request.query))
    if sent == read:
        return
    if not known:
        raise BinanceError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")
    problem = (
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
    )
    raise BinanceError(-1104, problem)


def day_weight(request: web.Request) -> int:
    if "symbol" in request.query:
        return 2
    count = request.query.get("symbols", "").count(",") + 1
    if "symbols" not in request.query or count > 100:
        return 80
    return 2 if count <= 20 else 40


def price_weight(request: web.Request) -> int:
    return 2 if "symbol" in request.query else 4


def too_much_weight(limit: int, wait: float) -> web.Response:
    problem = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return json_answer(
        {"code": -1003, "msg": problem}, status=429, headers={"Retry-After": str(math.ceil(wait))}
    )
