"""Binance spot, stream `!miniTicker@arr`: once a second, the 24 h tickers that changed.

Facts from github.com/binance/binance-spot-api-docs, web-socket-streams.md and rest-api.md.
"""

from dataclasses import dataclass

from core.message import Item, ticker_item
from extractors.ban import Ban
from extractors.deadline import Deadline
from extractors.feed import (
    Endpoint,
    Feed,
    FeedError,
    Instrument,
    RawData,
    Session,
    ShutdownAnnounced,
    SymbolList,
    UnreadableRawData,
    read_sequence,
)
from extractors.json_text import elements, read_json
from extractors.rest import ask
from extractors.symbol_list import LIST_LIMIT, SymbolReader

SYMBOLS_PATH = "/api/v3/exchangeInfo"


def symbol_of(ticker: Item) -> str:
    """Empty where the exchange did not say."""
    symbol = ticker.get("s")
    return symbol if isinstance(symbol, str) else ""


@dataclass(slots=True)
class BinanceRawData:
    """One element of the array; `text` is the exchange's own.

    {"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000",
     "o":"87304.35000000","h":"87728.27000000","l":"85300.01000000","v":"20230.79019000",
     "q":"1754434346.25694750"}
    """

    text: bytes
    symbol: str
    sequence: int | None
    received_at: int

    def item(self) -> bytes:
        return ticker_item(self.text, self.received_at)


class BinanceSession(Session):
    """Nothing to say: the path subscribes, and the server's pings are the WebSocket's own."""

    def due(self, now: float) -> list[str]:
        return []

    def receive(self, data: bytes, received_at: int) -> list[RawData]:
        """Read one frame. An element that can't be read costs none of its neighbours.

        Data     [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...}, ...]
        Control  {"e":"serverShutdown","E":1743147448467}
                 {"result":null,"id":1}
                 {"error":{"code":2,"msg":"Invalid request"},"id":2}
        """
        try:
            if data.lstrip().startswith(b"["):
                return [_raw_data(text, received_at) for text in elements(data)]
            frame = read_json(data)
        except ValueError:
            return [UnreadableRawData(data, received_at)]
        match frame:
            case {"e": "serverShutdown"}:
                raise ShutdownAnnounced("serverShutdown")
            case {"error": {"code": code, "msg": problem}}:
                raise FeedError(f"error_{code}", str(problem))
            case {"result": _, "id": _}:
                return []
            case _:
                return [UnreadableRawData(data, received_at)]


class BinanceFeed(Feed):
    """The servers at `ws_url`, wss://host:port, and `rest_url`, https://host:port."""

    name = "binance"
    backlog = 30
    # The array of a second is a batch already.
    batch_seconds = 0.0
    # 300 attempts in 5 minutes are allowed; a tenth less, because each takes its time to arrive.
    connect_interval = 1.1

    def __init__(
        self, ws_url: str, rest_url: str, *, silence_limit: float, age_limit: float
    ) -> None:
        self._url = f"{ws_url}/ws/!miniTicker@arr"
        self._symbols_url = f"{rest_url}{SYMBOLS_PATH}?showPermissionSets=false"
        self._symbols = SymbolReader(_instrument)
        self.silence_limit = silence_limit
        self.age_limit = age_limit
        self.ban = Ban()

    def endpoint(self, deadline: Deadline) -> Endpoint:
        return Endpoint(self._url)

    def session(self, endpoint: Endpoint, now: float) -> BinanceSession:
        return BinanceSession()

    def symbol_of(self, item: Item) -> str:
        return symbol_of(item)

    def instruments(self) -> SymbolList:
        """Statuses are TRADING, END_OF_DAY, HALT, BREAK, CANCEL_ONLY.

        {"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
         ...}, ...], ...}
        """
        text = ask("GET", self._symbols_url, self.ban, Deadline(LIST_LIMIT))
        try:
            entries = read_json(text)["symbols"]
        except (ValueError, LookupError, TypeError) as error:
            raise FeedError("unreadable", f"{SYMBOLS_PATH}: {error!r}") from error
        return self._symbols.read_list(SYMBOLS_PATH, entries)


def _instrument(entry: Item) -> Instrument:
    return Instrument(
        BinanceFeed.name, entry["symbol"], entry["baseAsset"], entry["quoteAsset"], entry["status"]
    )


def _raw_data(text: bytes, received_at: int) -> RawData:
    try:
        ticker = read_json(text)
    except ValueError:
        ticker = None
    if not isinstance(ticker, dict):
        return UnreadableRawData(text, received_at)
    return BinanceRawData(text, symbol_of(ticker), read_sequence(ticker.get("E")), received_at)
