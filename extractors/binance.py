"""Binance spot, stream `!miniTicker@arr`: once a second, the 24 h tickers that changed.

Facts from github.com/binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md.
"""

import json
from dataclasses import dataclass

from core.message import Item, ticker_item
from extractors.feed import (
    Endpoint,
    Feed,
    FeedError,
    Instrument,
    RawData,
    Session,
    ShutdownAnnounced,
    UnreadableRawData,
    read_json,
)
from extractors.rest import get_instruments


def symbol_of(ticker: Item) -> str:
    """Empty where the exchange did not say."""
    symbol = ticker.get("s")
    return symbol if isinstance(symbol, str) else ""


@dataclass(frozen=True, slots=True)
class BinanceRawData:
    """One element of the array, untouched.

    {"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000",
     "o":"87304.35000000","h":"87728.27000000","l":"85300.01000000","v":"20230.79019000",
     "q":"1754434346.25694750"}
    """

    ticker: Item
    received_at: int

    @property
    def symbol(self) -> str:
        return symbol_of(self.ticker)

    @property
    def sequence(self) -> int | None:
        sequence = self.ticker.get("E")
        return sequence if isinstance(sequence, int) else None

    def item(self) -> Item:
        return ticker_item(self.ticker, self.received_at)


class BinanceSession(Session):
    """Nothing to say: the path subscribes, and the server's pings are the WebSocket's own."""

    def due(self, now: float) -> list[str]:
        return []

    def receive(self, text: str, received_at: int) -> list[RawData]:
        """Reads one frame. A bad element costs none of its neighbours.

        Data     [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...}, ...]
        Control  {"e":"serverShutdown","E":1743147448467}
                 {"result":null,"id":1}
                 {"error":{"code":2,"msg":"Invalid request"},"id":2}
        """
        try:
            frame = read_json(text)
        except ValueError:
            return [UnreadableRawData(text, received_at)]
        match frame:
            case list():
                return [_raw_data(element, received_at) for element in frame]
            case {"e": "serverShutdown"}:
                raise ShutdownAnnounced("serverShutdown")
            case {"error": {"code": code, "msg": problem}}:
                raise FeedError(f"error_{code}", str(problem))
            case {"result": _, "id": _}:
                return []
            case _:
                return [UnreadableRawData(text, received_at)]


class BinanceFeed(Feed):
    """The servers at `ws_url`, wss://host:port, and `rest_url`, https://host:port."""

    name = "binance"
    backlog = 30
    # 300 attempts per 5 minutes and address.
    connect_interval = 1.0

    def __init__(
        self, ws_url: str, rest_url: str, *, silence_limit: float, age_limit: float
    ) -> None:
        self._url = f"{ws_url}/ws/!miniTicker@arr"
        self._symbols_url = f"{rest_url}/api/v3/exchangeInfo?showPermissionSets=false"
        self.silence_limit = silence_limit
        self.age_limit = age_limit

    def endpoint(self) -> Endpoint:
        return Endpoint(self._url)

    def session(self, endpoint: Endpoint, now: float) -> BinanceSession:
        return BinanceSession()

    def symbol_of(self, item: Item) -> str:
        return symbol_of(item)

    def instruments(self) -> list[Instrument]:
        """Statuses are TRADING, END_OF_DAY, HALT, BREAK, CANCEL_ONLY.

        {"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
         ...}, ...], ...}
        """
        return get_instruments(
            self._symbols_url,
            lambda listing: [
                Instrument(
                    self.name, each["symbol"], each["baseAsset"], each["quoteAsset"], each["status"]
                )
                for each in listing["symbols"]
            ],
        )


def _raw_data(element: object, received_at: int) -> RawData:
    if isinstance(element, dict):
        return BinanceRawData(element, received_at)
    return UnreadableRawData(json.dumps(element, ensure_ascii=False), received_at)
