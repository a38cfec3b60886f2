"""KuCoin spot, topic `/market/ticker:all`: one frame per ticker, thousands a second.

Facts from www.kucoin.com/docs-new and github.com/Kucoin/kucoin-universal-sdk.
"""

import json
import random
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from core.message import Item, ticker_item
from extractors.ban import Ban
from extractors.deadline import Deadline
from extractors.feed import (
    ConfigurationError,
    Endpoint,
    Feed,
    FeedError,
    Instrument,
    RawData,
    Session,
    SymbolList,
    UnreadableRawData,
    read_sequence,
)
from extractors.json_text import read_json
from extractors.refusal import bounded, coded_reason
from extractors.rest import ask
from extractors.symbol_list import LIST_LIMIT, SymbolReader

SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'

BULLET_PATH = "/api/v1/bullet-public"
SYMBOLS_PATH = "/api/v2/symbols"

SUCCESS = "200000"
"""The code of an answer that is no error."""

SUBSCRIPTION_LIMIT = 10.0
"""Seconds from the opened connection to the ack of the subscription."""

BUSY_PAUSE = 10.0
"""Seconds: KuCoin counts the messages of a client in periods of so many."""


def symbol_of(ticker: Item) -> str:
    """Empty where the exchange did not say."""
    symbol = ticker.get("subject")
    return symbol if isinstance(symbol, str) else ""


@dataclass(slots=True)
class KucoinRawData:
    """One frame; `text` is the exchange's own.

    {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{
     "bestAsk":"0.10605","bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160",
     "price":"0.10604","sequence":"915875484","size":"159.3256","time":1743147198992}}
    """

    text: bytes
    symbol: str
    sequence: int | None
    received_at: int

    def item(self) -> bytes:
        return ticker_item(self.text, self.received_at)


class KucoinSession(Session):
    """Welcome awaited, subscription sent, ack awaited, and from the start a ping in time.

    The server closes a connection that brings it no text for about 60 s, data or not; the pings
    of the WebSocket itself do not count.
    """

    def __init__(self, ping_interval: float, now: float) -> None:
        self._ping_interval = ping_interval
        self._ping_at = now + ping_interval
        self._subscribed_by = now + SUBSCRIPTION_LIMIT
        self._awaited = "welcome"
        self._replies: list[str] = []

    def due(self, now: float) -> list[str]:
        if self._awaited and now >= self._subscribed_by:
            raise FeedError("unanswered", f"no {self._awaited} within {SUBSCRIPTION_LIMIT:g} s")
        texts, self._replies = self._replies, []
        if now >= self._ping_at:
            self._ping_at = now + self._ping_interval
            texts.append(json.dumps({"id": uuid4().hex, "type": "ping"}))
        return texts

    def receive(self, data: bytes, received_at: int) -> list[RawData]:
        """Read one frame.

        Data     {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{...}}
        Control  {"id":"hQvf8jkno","type":"welcome"}
                 {"id":"1","type":"ack"}
                 {"id":"6c1f2d","type":"pong","timestamp":1743147198992123}
                 {"id":"1","type":"error","code":404,"data":"topic /market/x is not found"}
        """
        try:
            frame = read_json(data)
        except ValueError:
            return [UnreadableRawData(data, received_at)]
        match frame:
            case {"type": "message"}:
                return [KucoinRawData(data, symbol_of(frame), _sequence_of(frame), received_at)]
            case {"type": "error"}:
                raise kucoin_error(str(frame.get("code")), str(frame.get("data")))
            case {"type": "welcome"}:
                if self._awaited == "welcome":
                    self._awaited = "ack"
                    self._replies.append(SUBSCRIBE)
                return []
            case {"type": "ack"}:
                self._awaited = ""
                return []
            case {"type": "pong"}:
                return []
            case _:
                return [UnreadableRawData(data, received_at)]


def _sequence_of(ticker: Item) -> int | None:
    data = ticker.get("data")
    return read_sequence(data.get("sequence")) if isinstance(data, dict) else None


def kucoin_error(code: str, problem: str) -> FeedError:
    """What an error frame means for the connection.

    400 ping timeout                at once: the connection is dead
    400 any other, 404              configuration: the topic is not what KuCoin has
    401 token invalid or expired    at once: the next connection asks for a token of its own
    509 too many, or service busy   after the period of KuCoin's limit on messages
    403, 406, 415, 500, any other   after a pause
    """
    cause = f"error_{code}"
    if code == "401" or (code == "400" and "timeout" in problem):
        return FeedError(cause, problem, at_once=True)
    if code in ("400", "404"):
        return ConfigurationError(cause, problem)
    return FeedError(cause, problem, retry_after=BUSY_PAUSE if code == "509" else 0.0)


class KucoinFeed(Feed):
    """The exchange whose REST server is at `rest_url`, https://host:port."""

    name = "kucoin"
    backlog = 60_000
    # 30 new connections a minute are allowed; a tenth less, because each takes its time to arrive.
    connect_interval = 2.2

    def __init__(
        self,
        rest_url: str,
        *,
        batch_seconds: float,
        silence_limit: float,
        age_limit: float,
    ) -> None:
        self._bullet_url = f"{rest_url}{BULLET_PATH}"
        self._symbols_url = f"{rest_url}{SYMBOLS_PATH}"
        self._symbols = SymbolReader(_instrument)
        self.batch_seconds = batch_seconds
        self.silence_limit = silence_limit
        self.age_limit = age_limit
        self.ban = Ban()

    def endpoint(self, deadline: Deadline) -> Endpoint:
        """A new token for every connection: one that was used before is refused for ever."""
        return read_bullet(ask("POST", self._bullet_url, self.ban, deadline))

    def session(self, endpoint: Endpoint, now: float) -> KucoinSession:
        return KucoinSession(endpoint.ping_interval, now)

    def symbol_of(self, item: Item) -> str:
        return symbol_of(item)

    def instruments(self) -> SymbolList:
        """A symbol never changes, its name does. HALT is our word for enableTrading false.

        {"code":"200000","data":[{"symbol":"BCHSV-USDT","name":"BSV-USDT","baseCurrency":"BSV",
         "quoteCurrency":"USDT","enableTrading":true,...}, ...]}
        """
        text = ask("GET", self._symbols_url, self.ban, Deadline(LIST_LIMIT))
        return self._symbols.read_list(SYMBOLS_PATH, read_data(SYMBOLS_PATH, text))


def read_bullet(text: str) -> Endpoint:
    """Return any of the WebSocket servers that the answer of bullet-public names, with its token.

    {"code":"200000","data":{"token":"2neAiuYvAU61ZD...","instanceServers":[
     {"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",
      "pingInterval":18000,"pingTimeout":10000}]}}

    Raise FeedError, which does not show the token.
    """
    match read_data(BULLET_PATH, text):
        case {"token": str(token), "instanceServers": list(servers)}:
            query = urlencode({"token": token, "connectId": uuid4().hex})
        case _:
            raise FeedError("unreadable", f"{BULLET_PATH}: no token or no list of servers")
    endpoints: list[Endpoint] = []
    problem = "the list is empty"
    for server in servers:
        try:
            endpoints.append(_endpoint(server, query))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = bounded(repr(error), "")
    if not endpoints:
        raise FeedError("unreadable", f"{BULLET_PATH}: no WebSocket server: {problem}")
    return random.choice(endpoints)


def read_data(path: str, text: str) -> Any:
    """Return the data of an answer. Raise FeedError, which names the path, for an error.

    {"code":"400100","msg":"Parameter error"}
    """
    try:
        answer = read_json(text)
        if str(answer["code"]) == SUCCESS:
            return answer["data"]
    except (ValueError, LookupError, TypeError) as error:
        raise FeedError("unreadable", f"{path}: {error!r}") from error
    raise FeedError("refused", f"{path} answered{bounded(coded_reason(answer), '')}")


def _endpoint(server: Any, query: str) -> Endpoint:
    if server.get("protocol", "websocket") != "websocket":
        raise ValueError(f"protocol {server['protocol']!r}")
    address = urlsplit(server["endpoint"])
    both = f"{address.query}&{query}" if address.query else query
    url = address._replace(path=address.path or "/", query=both, fragment="").geturl()
    return Endpoint(url, server["pingInterval"] / 1000)


def _instrument(entry: Item) -> Instrument:
    is_trading = entry["enableTrading"]
    if not isinstance(is_trading, bool):
        raise TypeError(f"enableTrading is {is_trading!r:.20}, not true or false")
    return Instrument(
        KucoinFeed.name,
        entry["symbol"],
        entry["baseCurrency"],
        entry["quoteCurrency"],
        "TRADING" if is_trading else "HALT",
    )
