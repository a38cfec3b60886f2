"""Describe Binance spot: once a second, stream `!miniTicker@arr` sends the 24 h tickers that changed.

Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from exchanges.exchange import (
    Addresses,
    Asking,
    CandleSource,
    CandleSpan,
    Endpoint,
    Exchange,
    ExchangeError,
    Field,
    Form,
    Instrument,
    RawData,
    Received,
    Request,
    Session,
    ShutdownAnnounced,
    Turnover,
    UnreadableRawData,
    read_sequence,
    read_turnovers,
)
from exchanges.json_text import elements, read_json

SYMBOLS_PATH = "/api/v3/exchangeInfo"
CANDLES_PATH = "/api/v3/klines"
DAY_PATH = "/api/v3/ticker/24hr"

FIELDS: Mapping[str, Field] = {
    "symbol": Field(("s",), Form.NAME),
    "price": Field(("c",), Form.AMOUNT),
    "open_24h": Field(("o",), Form.AMOUNT),
    "high_24h": Field(("h",), Form.AMOUNT),
    "low_24h": Field(("l",), Form.AMOUNT),
    "base_volume_24h": Field(("v",), Form.AMOUNT),
    "quote_volume_24h": Field(("q",), Form.AMOUNT),
    "event_time": Field(("E",), Form.MILLISECONDS),
    "sequence": Field(("E",), Form.INTEGER),
}
"""
{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000","o":"87304.35000000",
 "h":"87728.27000000","l":"85300.01000000","v":"20230.79019000","q":"1754434346.25694750"}
"""


class BinanceSession(Session):
    """Protocol of one connection.

    It sends no text: the URL's path names the stream, and the WebSocket client answers pings.
    """

    def due(self, now: float) -> list[str]:
        return []

    def receive(self, data: bytes) -> list[Received]:
        """Return the tickers of a frame. An unreadable element does not affect the others.

        Data     [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...}, ...]
        Control  {"e":"serverShutdown","E":1743147448467}
                 {"result":null,"id":1}
                 {"error":{"code":2,"msg":"Invalid request"},"id":2}
        """
        try:
            if data.lstrip().startswith(b"["):
                return [_raw_data(text) for text in elements(data)]
            frame = read_json(data)
        except ValueError:
            return [UnreadableRawData(data)]
        match frame:
            case {"e": "serverShutdown"}:
                raise ShutdownAnnounced("serverShutdown")
            case {"error": {"code": code, "msg": problem}}:
                raise ExchangeError(f"error_{code}", str(problem))
            case {"result": _, "id": _}:
                return []
            case _:
                return [UnreadableRawData(data)]


def _raw_data(text: bytes) -> Received:
    try:
        ticker = read_json(text)
    except ValueError:
        ticker = None
    if not isinstance(ticker, dict):
        return UnreadableRawData(text)
    return RawData(text, BINANCE.symbol_of(ticker), read_sequence(ticker.get("E")))


def _endpoint(addresses: Addresses) -> Asking[Endpoint]:
    """Return the endpoint. Its address is fixed, so no request is needed."""
    yield from ()
    return Endpoint(f"{addresses['ws']}/ws/!miniTicker@arr", lambda now: BinanceSession())


def _symbol_list(addresses: Addresses) -> Asking[object]:
    """Return the entries of the symbol list.

    {"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
     ...}, ...], ...}
    """
    text = yield Request("GET", f"{addresses['rest']}{SYMBOLS_PATH}?showPermissionSets=false")
    try:
        return read_json(text)["symbols"]
    except (ValueError, LookupError, TypeError) as error:
        raise ExchangeError("unreadable", f"{SYMBOLS_PATH}: {error!r}") from error


def _instrument(entry: Any) -> Instrument:
    """Return the instrument of an entry. Statuses: TRADING, END_OF_DAY, HALT, BREAK, CANCEL_ONLY."""
    return Instrument(
        BINANCE.name, entry["symbol"], entry["baseAsset"], entry["quoteAsset"], entry["status"]
    )


def _candles(addresses: Addresses, span: CandleSpan) -> Asking[str]:
    """Return the candles of a span, oldest first. The last one may still be running.

    [[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",
      1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","0"], ...]
    """
    query = urlencode(
        {
            "symbol": span.symbol,
            "interval": span.interval,
            "startTime": span.start * 1000,
            # Latest start of a candle, inclusive; `span.end` is exclusive.
            "endTime": span.end * 1000 - 1,
            "limit": CANDLES.limit,
        }
    )
    text = yield Request("GET", f"{addresses['rest']}{CANDLES_PATH}?{query}")
    try:
        if isinstance(read_json(text), list):
            return text
    except ValueError as error:
        raise ExchangeError("unreadable", f"{CANDLES_PATH}: {error!r}") from error
    raise ExchangeError("unreadable", f"{CANDLES_PATH}: no array of candles")


def _turnovers(addresses: Addresses) -> Asking[dict[str, Turnover]]:
    """Return the turnover of each symbol, also of one that was not traded in the last 24 hours.

    [{"symbol":"BTCUSDT","lastPrice":"85439.99000000","quoteVolume":"1754434346.25694750",...}, ...]
    """
    text = yield Request("GET", f"{addresses['rest']}{DAY_PATH}?type=MINI")
    try:
        entries = read_json(text)
    except ValueError as error:
        raise ExchangeError("unreadable", f"{DAY_PATH}: {error!r}") from error
    if not isinstance(entries, list):
        raise ExchangeError("unreadable", f"{DAY_PATH}: no list of tickers")
    return read_turnovers(entries, price="lastPrice", volume="quoteVolume")


CANDLES = CandleSource(
    request=_candles,
    turnovers=_turnovers,
    limit=1000,
    # A request has weight 2, and Binance allows a weight of 6,000 per minute.
    request_interval=0.06,
    columns={
        "start": (0, Form.MILLISECONDS),
        "open": (1, Form.AMOUNT),
        "high": (2, Form.AMOUNT),
        "low": (3, Form.AMOUNT),
        "close": (4, Form.AMOUNT),
        "base_volume": (5, Form.AMOUNT),
        "quote_volume": (7, Form.AMOUNT),
        "trades": (8, Form.INTEGER),
    },
)

BINANCE = Exchange(
    name="binance",
    title="Binance",
    domains=("binance.com", "binance.vision"),
    addresses={"ws": "wss://stream.binance.com:9443", "rest": "https://api.binance.com"},
    reachable_path="/api/v3/ping",
    backlog=30,
    # Each frame is a batch already: the tickers of one second.
    batch_seconds=0.0,
    # Binance allows 300 attempts in 5 minutes. Stay a tenth below that rate: latency varies.
    connect_interval=1.1,
    silence_limit=10.0,
    metrics_port=9101,
    endpoint=_endpoint,
    symbol_list=_symbol_list,
    instrument=_instrument,
    fields=FIELDS,
    candles=CANDLES,
)
