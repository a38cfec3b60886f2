"""KuCoin spot, topic `/market/ticker:all`: one frame per ticker, thousands a second.

Facts from www.kucoin.com/docs-new and github.com/Kucoin/kucoin-universal-sdk.
"""

import json
import random
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import uuid4

import requests

from core.message import Item, ticker_item
from extractors.feed import (
    ConfigurationError,
    Endpoint,
    Feed,
    FeedError,
    Instrument,
    RawData,
    Session,
    UnreadableRawData,
    demanded_pause,
    read_json,
)
from extractors.rest import get_instruments

SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'

REQUEST_LIMIT = 5.0
"""Seconds to reach the REST server, and seconds for its answer."""

SUBSCRIPTION_LIMIT = 10.0
"""Seconds from the opened connection to the ack of the subscription."""

BUSY_PAUSE = 10.0
"""Seconds: KuCoin counts the messages of a client in periods of so many."""


def symbol_of(ticker: Item) -> str:
    """Empty where the exchange did not say."""
    symbol = ticker.get("subject")
    return symbol if isinstance(symbol, str) else ""


@dataclass(frozen=True, slots=True)
class KucoinRawData:
    """One frame, untouched.

    {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{
     "bestAsk":"0.10605","bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160",
     "price":"0.10604","sequence":"915875484","size":"159.3256","time":1743147198992}}
    """

    ticker: Item
    received_at: int

    @property
    def symbol(self) -> str:
        return symbol_of(self.ticker)

    @property
    def sequence(self) -> int | None:
        match self.ticker.get("data"):
            case {"sequence": str(digits)} if digits.isdecimal() and len(digits) < 20:
                return int(digits)
        return None

    def item(self) -> Item:
        return ticker_item(self.ticker, self.received_at)


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

    def receive(self, text: str, received_at: int) -> list[RawData]:
        """Reads one frame.

        Data     {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{...}}
        Control  {"id":"hQvf8jkno","type":"welcome"}
                 {"id":"1","type":"ack"}
                 {"id":"6c1f2d","type":"pong","timestamp":1743147198992123}
                 {"id":"1","type":"error","code":404,"data":"topic /market/x is not found"}
        """
        try:
            frame = read_json(text)
        except ValueError:
            return [UnreadableRawData(text, received_at)]
        match frame:
            case {"type": "message"}:
                return [KucoinRawData(frame, received_at)]
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
                return [UnreadableRawData(text, received_at)]


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
    # 30 new connections a minute.
    connect_interval = 2.0

    def __init__(self, rest_url: str, *, silence_limit: float, age_limit: float) -> None:
        self._bullet_url = f"{rest_url}/api/v1/bullet-public"
        self._symbols_url = f"{rest_url}/api/v2/symbols"
        self.silence_limit = silence_limit
        self.age_limit = age_limit

    def endpoint(self) -> Endpoint:
        """A new token for every connection: one that was used before is refused for ever."""
        answer = requests.post(self._bullet_url, timeout=REQUEST_LIMIT)
        if answer.status_code != 200:
            raise FeedError(
                "refused",
                f"bullet-public answered {answer.status_code}",
                retry_after=demanded_pause(answer.headers),
            )
        return read_bullet(answer.text)

    def session(self, endpoint: Endpoint, now: float) -> KucoinSession:
        return KucoinSession(endpoint.ping_interval, now)

    def symbol_of(self, item: Item) -> str:
        return symbol_of(item)

    def instruments(self) -> list[Instrument]:
        """A symbol never changes, its name does. HALT is our word for enableTrading false.

        {"code":"200000","data":[{"symbol":"BCHSV-USDT","name":"BSV-USDT","baseCurrency":"BSV",
         "quoteCurrency":"USDT","enableTrading":true,...}, ...]}
        """
        return get_instruments(
            self._symbols_url,
            lambda listing: [
                Instrument(
                    self.name,
                    each["symbol"],
                    each["baseCurrency"],
                    each["quoteCurrency"],
                    "TRADING" if each["enableTrading"] else "HALT",
                )
                for each in listing["data"]
            ],
        )


def read_bullet(text: str) -> Endpoint:
    """Any of the instance servers that the answer of bullet-public names, with its token.

    {"code":"200000","data":{"token":"2neAiuYvAU61ZD...","instanceServers":[
     {"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",
      "pingInterval":18000,"pingTimeout":10000}]}}
    """
    try:
        bullet = read_json(text)
        if bullet["code"] != "200000":
            problem = f"bullet-public answered code {bullet['code']}: {bullet.get('msg')}"
            raise FeedError("refused", problem)
        server = random.choice(bullet["data"]["instanceServers"])
        query = urlencode({"token": bullet["data"]["token"], "connectId": uuid4().hex})
        return Endpoint(f"{server['endpoint']}?{query}", server["pingInterval"] / 1000)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # Not the answer itself, which may hold a token.
        raise FeedError("refused", f"bullet-public's answer can't be read: {error!r}") from error
