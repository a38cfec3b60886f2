"""Define Lumen, a fictitious exchange for tests that differs from the real ones.

Times are ISO 8601, amounts are JSON numbers, and symbols are nested two levels deep. A subscription lists
the symbols, which must be fetched first. It needs no pings but those of WebSocket, and has no sequence.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from exchanges.exchange import (
    Addresses,
    Asking,
    CandleSource,
    CandleSpan,
    Endpoint,
    Exchange,
    Field,
    Form,
    Instrument,
    RawData,
    Received,
    Request,
    Session,
    Turnover,
    UnreadableRawData,
)
from exchanges.json_text import read_json


class LumenSession(Session):
    """Subscribe once, with every symbol."""

    def __init__(self, symbols: Sequence[str], now: float) -> None:
        self._unsent = [json.dumps({"subscribe": symbols})]

    def due(self, now: float) -> list[str]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def receive(self, data: bytes) -> list[Received]:
        """Return the ticker of a frame.

        Data     {"ticker":{"at":"2025-03-28T07:37:28.467Z","market":{"id":"BTC/USD"},"last":85439.99,
                  "best":{"bid":85439.5,"ask":85440.1}}}
        Control  {"subscribed":2}
        """
        try:
            frame = read_json(data)
        except ValueError:
            return [UnreadableRawData(data)]
        match frame:
            case {"ticker": _}:
                return [RawData(data, LUMEN.symbol_of(frame), None)]
            case {"subscribed": _}:
                return []
            case _:
                return [UnreadableRawData(data)]


def _markets(addresses: Addresses) -> Asking[Any]:
    """{"markets":[{"id":"BTC/USD","base":"BTC","quote":"USD","open":true,"last":85439.99,"volume":7},
    ...]}
    """
    text = yield Request("GET", f"{addresses['rest']}/markets")
    return read_json(text)["markets"]


def _endpoint(addresses: Addresses) -> Asking[Endpoint]:
    markets = yield from _markets(addresses)
    symbols = [market["id"] for market in markets]
    return Endpoint(f"{addresses['ws']}/tickers", partial(LumenSession, symbols))


def _candles(addresses: Addresses, span: CandleSpan) -> Asking[str]:
    """{"candles":[["2025-03-28T07:37:00Z",85439.99,85450.01,85430,85440.1], ...]}"""
    query = urlencode(
        {"market": span.symbol, "width": span.interval, "from": span.start, "to": span.end}
    )
    return (yield Request("GET", f"{addresses['rest']}/candles?{query}"))


def _turnovers(addresses: Addresses) -> Asking[dict[str, Turnover]]:
    markets = yield from _markets(addresses)
    return {each["id"]: Turnover(each["last"], each["volume"]) for each in markets}


def _instrument(market: Any) -> Instrument:
    status = "TRADING" if market["open"] else "CLOSED"
    return Instrument(LUMEN.name, market["id"], market["base"], market["quote"], status)


LUMEN = Exchange(
    name="lumen",
    title="Lumen",
    domains=("lumen.example",),
    addresses={"ws": "wss://stream.lumen.example", "rest": "https://api.lumen.example"},
    reachable_path="/time",
    backlog=10_000,
    batch_seconds=0.2,
    connect_interval=1.0,
    silence_limit=10.0,
    metrics_port=9111,
    endpoint=_endpoint,
    symbol_list=_markets,
    symbol_key="id",
    instrument=_instrument,
    fields={
        "symbol": Field(("ticker", "market", "id"), Form.NAME),
        "price": Field(("ticker", "last"), Form.AMOUNT),
        "bid": Field(("ticker", "best", "bid"), Form.AMOUNT),
        "ask": Field(("ticker", "best", "ask"), Form.AMOUNT),
        "event_time": Field(("ticker", "at"), Form.ISO_8601),
    },
    candles=CandleSource(
        request=_candles,
        turnovers=_turnovers,
        limit=500,
        request_interval=0.1,
        path=("candles",),
        columns={
            "start": (0, Form.ISO_8601),
            "open": (1, Form.AMOUNT),
            "high": (2, Form.AMOUNT),
            "low": (3, Form.AMOUNT),
            "close": (4, Form.AMOUNT),
        },
    ),
)
