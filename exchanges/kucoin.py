"""Describe KuCoin spot: topic `/market/ticker:all` sends one frame per ticker, thousands a second.

Source: www.kucoin.com/docs-new and github.com/Kucoin/kucoin-universal-sdk.
"""

import json
import random
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from exchanges.exchange import (
    Addresses,
    Asking,
    CandleSource,
    CandleSpan,
    ConfigurationError,
    Endpoint,
    Exchange,
    ExchangeError,
    Field,
    Form,
    Instrument,
    InvalidRequestError,
    RawData,
    Received,
    Request,
    Session,
    Turnover,
    UnreadableRawData,
    coded_reason,
    one_line,
    read_sequence,
    read_turnovers,
)
from exchanges.json_text import read_json

SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'

BULLET_PATH = "/api/v1/bullet-public"
SYMBOLS_PATH = "/api/v2/symbols"
CANDLES_PATH = "/api/v1/market/candles"
DAY_PATH = "/api/v1/market/allTickers"

CANDLE_TYPES = {"1m": "1min", "1h": "1hour", "1d": "1day"}

SUCCESS = "200000"
"""Code of a successful response."""

SUBSCRIPTION_LIMIT = 10.0
"""Timeout in seconds from the opened connection to the ack of the subscription."""

BUSY_PAUSE = 10.0
"""Pause in seconds after "too many requests": the period of KuCoin's limit on a client's messages."""

FIELDS: Mapping[str, Field] = {
    "symbol": Field(("subject",), Form.NAME),
    "price": Field(("data", "price"), Form.AMOUNT),
    "bid": Field(("data", "bestBid"), Form.AMOUNT),
    "bid_size": Field(("data", "bestBidSize"), Form.AMOUNT),
    "ask": Field(("data", "bestAsk"), Form.AMOUNT),
    "ask_size": Field(("data", "bestAskSize"), Form.AMOUNT),
    "last_size": Field(("data", "size"), Form.AMOUNT),
    # Time of the last trade, up to 25 minutes old, so not an event time.
    "traded_at": Field(("data", "time"), Form.MILLISECONDS),
    "sequence": Field(("data", "sequence"), Form.INTEGER),
}
"""
{"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{
 "bestAsk":"0.10605","bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160",
 "price":"0.10604","sequence":"915875484","size":"159.3256","time":1743147198992}}
"""


class KucoinSession(Session):
    """Await the welcome, subscribe, await the ack, and send a ping every `ping_interval` seconds.

    The server closes a connection on which the client has sent no text for about 60 s, even while
    data flows. WebSocket pings do not count.
    """

    def __init__(self, ping_interval: float, now: float) -> None:
        self._ping_interval = ping_interval
        self._ping_at = now + ping_interval
        self._subscribed_by = now + SUBSCRIPTION_LIMIT
        self._awaited = "welcome"
        self._replies: list[str] = []

    def due(self, now: float) -> list[str]:
        if self._awaited and now >= self._subscribed_by:
            raise ExchangeError("unanswered", f"no {self._awaited} within {SUBSCRIPTION_LIMIT:g} s")
        texts, self._replies = self._replies, []
        if now >= self._ping_at:
            self._ping_at = now + self._ping_interval
            texts.append(json.dumps({"id": uuid4().hex, "type": "ping"}))
        return texts

    def receive(self, data: bytes) -> list[Received]:
        """Return the ticker of a frame.

        Data     {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{...}}
        Control  {"id":"hQvf8jkno","type":"welcome"}
                 {"id":"1","type":"ack"}
                 {"id":"6c1f2d","type":"pong","timestamp":1743147198992123}
                 {"id":"1","type":"error","code":404,"data":"topic /market/x is not found"}
        """
        try:
            frame = read_json(data)
        except ValueError:
            return [UnreadableRawData(data)]
        match frame:
            case {"type": "message"}:
                return [RawData(data, KUCOIN.symbol_of(frame), _sequence_of(frame))]
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
                return [UnreadableRawData(data)]


def _sequence_of(ticker: Any) -> int | None:
    data = ticker.get("data")
    return read_sequence(data.get("sequence")) if isinstance(data, dict) else None


def kucoin_error(code: str, problem: str) -> ExchangeError:
    """Return the error of an error frame. It says when to retry:

    400 ping timeout                at once: the connection is unusable
    400 any other, 404              configuration: KuCoin has no such topic
    401 token invalid or expired    at once: the next connection asks for a new token
    509 too many, or service busy   after the period of KuCoin's limit on messages
    403, 406, 415, 500, any other   after a pause
    """
    cause = f"error_{code}"
    if code == "401" or (code == "400" and "timeout" in problem):
        return ExchangeError(cause, problem, at_once=True)
    if code in ("400", "404"):
        return ConfigurationError(cause, problem)
    return ExchangeError(cause, problem, retry_after=BUSY_PAUSE if code == "509" else 0.0)


def _ask_endpoint(addresses: Addresses) -> Asking[Endpoint]:
    """Request a new token: KuCoin refuses one that was used before."""
    text = yield Request("POST", f"{addresses['rest']}{BULLET_PATH}")
    return read_bullet(text)


def read_bullet(text: str) -> Endpoint:
    """Return one of the WebSocket servers in a response of bullet-public, at random, with the token.

    {"code":"200000","data":{"token":"2neAiuYvAU61ZD...","instanceServers":[
     {"endpoint":"wss://ws-api-spot.kucoin.com/","encrypt":true,"protocol":"websocket",
      "pingInterval":18000,"pingTimeout":10000}]}}

    Raise ExchangeError, which never contains the token.
    """
    match read_data(BULLET_PATH, text):
        case {"token": str(token), "instanceServers": list(servers)}:
            query = urlencode({"token": token, "connectId": uuid4().hex})
        case _:
            raise ExchangeError("unreadable", f"{BULLET_PATH}: no token or no list of servers")
    endpoints: list[Endpoint] = []
    problem = "the list is empty"
    for server in servers:
        try:
            endpoints.append(_endpoint(server, query))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            problem = one_line(repr(error))
    if not endpoints:
        raise ExchangeError("unreadable", f"{BULLET_PATH}: no WebSocket server: {problem}")
    return random.choice(endpoints)


def read_data(path: str, text: str) -> Any:
    """Return the data of a response. Raise ExchangeError, which contains the path, for an error such as

    {"code":"400100","msg":"Parameter error"}
    """
    try:
        answer = read_json(text)
        if str(answer["code"]) == SUCCESS:
            return answer["data"]
    except (ValueError, LookupError, TypeError) as error:
        raise ExchangeError("unreadable", f"{path}: {error!r}") from error
    # The first three digits of a code mean the same as HTTP's statuses, whatever the status is.
    code = str(answer["code"])
    kind = ExchangeError if code.startswith(("429", "5")) else InvalidRequestError
    pause = BUSY_PAUSE if code.startswith("429") else 0.0
    raise kind("refused", f"{path} answered{one_line(coded_reason(answer))}", retry_after=pause)


def _endpoint(server: Any, query: str) -> Endpoint:
    if server.get("protocol", "websocket") != "websocket":
        raise ValueError(f"protocol {server['protocol']!r}")
    address = urlsplit(server["endpoint"])
    both = f"{address.query}&{query}" if address.query else query
    url = address._replace(path=address.path or "/", query=both, fragment="").geturl()
    ping_interval = server["pingInterval"] / 1000
    if ping_interval <= 0:
        raise ValueError(f"a ping every {ping_interval} s")
    return Endpoint(url, partial(KucoinSession, ping_interval))


def _symbol_list(addresses: Addresses) -> Asking[object]:
    """Return the entries of the symbol list.

    {"code":"200000","data":[{"symbol":"BCHSV-USDT","name":"BSV-USDT","baseCurrency":"BSV",
     "quoteCurrency":"USDT","enableTrading":true,...}, ...]}
    """
    text = yield Request("GET", f"{addresses['rest']}{SYMBOLS_PATH}")
    return read_data(SYMBOLS_PATH, text)


def _instrument(entry: Any) -> Instrument:
    """Return the instrument of an entry. Its status is HALT if `enableTrading` is false.

    `name` may change, but `symbol` does not.
    """
    is_trading = entry["enableTrading"]
    if not isinstance(is_trading, bool):
        raise TypeError(f"enableTrading is {is_trading!r:.20}, not true or false")
    return Instrument(
        KUCOIN.name,
        entry["symbol"],
        entry["baseCurrency"],
        entry["quoteCurrency"],
        "TRADING" if is_trading else "HALT",
    )


def _candles(addresses: Addresses, span: CandleSpan) -> Asking[str]:
    """Return the candles of a span, newest first. A minute without trades may be missing.

    {"code":"200000","data":[["1566789720","10411.5","10401.9","10411.5","10396.3","29.11357276",
     "302889.301529914"], ...]}
    """
    query = urlencode(
        {
            "symbol": span.symbol,
            "type": CANDLE_TYPES[span.interval],
            "startAt": span.start,
            "endAt": span.end,
        }
    )
    text = yield Request("GET", f"{addresses['rest']}{CANDLES_PATH}?{query}")
    if not isinstance(read_data(CANDLES_PATH, text), list):
        raise ExchangeError("unreadable", f"{CANDLES_PATH}: no array of candles")
    return text


def _turnovers(addresses: Addresses) -> Asking[dict[str, Turnover]]:
    """Return the turnover of each symbol. A symbol without a price has none.

    {"code":"200000","data":{"time":1743147198992,"ticker":[
     {"symbol":"BTC-USDT","last":"85439.9","volValue":"175443434.2569",...}, ...]}}
    """
    text = yield Request("GET", f"{addresses['rest']}{DAY_PATH}")
    match read_data(DAY_PATH, text):
        case {"ticker": list(entries)}:
            return read_turnovers(entries, price="last", volume="volValue")
    raise ExchangeError("unreadable", f"{DAY_PATH}: no list of tickers")


CANDLES = CandleSource(
    request=_candles,
    turnovers=_turnovers,
    limit=1500,
    # A request has weight 3, and KuCoin allows a weight of 2,000 per 30 seconds.
    request_interval=0.135,
    path=("data",),
    columns={
        "start": (0, Form.SECONDS),
        "open": (1, Form.AMOUNT),
        "close": (2, Form.AMOUNT),
        "high": (3, Form.AMOUNT),
        "low": (4, Form.AMOUNT),
        "base_volume": (5, Form.AMOUNT),
        "quote_volume": (6, Form.AMOUNT),
    },
)

KUCOIN = Exchange(
    name="kucoin",
    title="KuCoin",
    domains=("kucoin.com",),
    addresses={"rest": "https://api.kucoin.com"},
    reachable_path="/api/v1/timestamp",
    backlog=60_000,
    batch_seconds=1.0,
    # KuCoin allows 30 new connections a minute. Stay a tenth below: latency varies.
    connect_interval=2.2,
    silence_limit=15.0,
    metrics_port=9102,
    reset_header="gw-ratelimit-reset",
    endpoint=_ask_endpoint,
    symbol_list=_symbol_list,
    instrument=_instrument,
    fields=FIELDS,
    candles=CANDLES,
)
