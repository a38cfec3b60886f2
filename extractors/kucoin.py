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
    Endpoint,
    Feed,
    FeedError,
    RawData,
    Session,
    UnreadableRawData,
    read_json,
)

SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'

REQUEST_LIMIT = 5.0
"""Seconds to reach the REST server, and seconds for its answer."""

SUBSCRIPTION_LIMIT = 10.0
"""Seconds from the opened connection to the ack of the subscription."""


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
        symbol = self.ticker.get("subject")
        return symbol if isinstance(symbol, str) else ""

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
            raise FeedError(f"no {self._awaited} within {SUBSCRIPTION_LIMIT:g} s")
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
                raise FeedError(f"error {frame.get('code')}: {frame.get('data')}")
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


class KucoinFeed(Feed):
    """The exchange whose REST server is at `base_url`, https://host:port."""

    name = "kucoin"
    backlog = 60_000
    # 30 new connections a minute.
    connect_interval = 2.0

    def __init__(self, base_url: str, silence_limit: float = 15.0) -> None:
        self._bullet_url = f"{base_url}/api/v1/bullet-public"
        self.silence_limit = silence_limit

    def endpoint(self) -> Endpoint:
        """A new token for every connection: one that was used before is refused for ever."""
        answer = requests.post(self._bullet_url, timeout=REQUEST_LIMIT)
        if answer.status_code == 429:
            raise FeedError("bullet-public answered 429", _rate_limit_reset(answer))
        if answer.status_code != 200:
            raise FeedError(f"bullet-public answered {answer.status_code}")
        return read_bullet(answer.text)

    def session(self, endpoint: Endpoint, now: float) -> KucoinSession:
        return KucoinSession(endpoint.ping_interval, now)


def read_bullet(text: str) -> Endpoint:
    """Any of the instance servers that the answer of bullet-public names, with its token.

    {"code":"200000","data":{"token":"2neAiuYvAU61ZD...","instanceServers":[
     {"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",
      "pingInterval":18000,"pingTimeout":10000}]}}
    """
    try:
        bullet = read_json(text)
        if bullet["code"] != "200000":
            raise FeedError(f"bullet-public answered code {bullet['code']}: {bullet.get('msg')}")
        server = random.choice(bullet["data"]["instanceServers"])
        query = urlencode({"token": bullet["data"]["token"], "connectId": uuid4().hex})
        return Endpoint(f"{server['endpoint']}?{query}", server["pingInterval"] / 1000)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        # Not the answer itself, which may hold a token.
        raise FeedError(f"bullet-public's answer can't be read: {error!r}") from error


def _rate_limit_reset(answer: requests.Response) -> float:
    """Seconds until the quota is full again; the header counts milliseconds."""
    reset = answer.headers.get("gw-ratelimit-reset", "")
    return int(reset) / 1000 if reset.isdecimal() else 0.0
