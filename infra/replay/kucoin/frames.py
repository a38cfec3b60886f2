"""Build the texts that KuCoin sends: tickers, errors. Pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from infra.replay.encoding import encode_json
from infra.replay.faults.disturbances import Dialect
from infra.replay.market.instrument import Instrument
from infra.replay.streams import Update

PREFIX = "/market/ticker:"
TOPIC = f"{PREFIX}all"

# KuCoin's messages by error code (www.kucoin.com/docs-new/error-code/websocket).
PROBLEMS = {
    400: "topic is invalid",
    401: "token is invalid",
    403: "login is required",
    404: "topic does not exist",
    406: "topic is required",
    415: "command type is invalid",
    500: "system error",
    509: "service busy, please retry later",
}


class KucoinUpdate(Update):
    """Changed instruments, for `/market/ticker:all` and `/market/ticker:<symbol>`."""

    def __init__(self, changes: Sequence[Instrument]) -> None:
        self._changes = {instrument.pair.symbol: instrument for instrument in changes}

    def serves(self, stream: str) -> bool:
        return stream.startswith(PREFIX)

    def messages(self, stream: str) -> Sequence[str]:
        if stream == TOPIC:
            return [encode_json(ticker(each)) for each in self._changes.values()]
        if not (instrument := self._changes.get(stream.removeprefix(PREFIX))):
            return ()
        return [encode_json(ticker(instrument) | {"topic": stream, "subject": "trade.ticker"})]

    def symbols(self) -> Collection[str]:
        return self._changes.keys()

    def fields(self, symbol: str) -> Mapping[str, Any] | None:
        """Return the data of the ticker, and the day's figures named as in `/market/snapshot`."""
        if not (instrument := self._changes.get(symbol)):
            return None
        price, size = instrument.pair.price_increment, instrument.pair.size_increment
        day = instrument.day
        return {
            **ticker(instrument)["data"],
            "open": decimal_text(day.open * price),
            "high": decimal_text(day.high * price),
            "low": decimal_text(day.low * price),
            "vol": decimal_text(day.base_volume * size),
            "volValue": decimal_text(day.quote_volume * price * size),
        }


def refusal(command_id: str, code: int, problem: str = "") -> str:
    """{"id":"1","type":"error","code":404,"data":"topic does not exist"}"""
    data = problem or problem_of(code)
    return encode_json({"id": command_id, "type": "error", "code": code, "data": data})


def error(code: int) -> str:
    """Return an error without an id: it answers no command."""
    return encode_json({"type": "error", "code": code, "data": problem_of(code)})


def problem_of(code: int) -> str:
    return PROBLEMS.get(code, f"error {code}")


def ticker(instrument: Instrument) -> dict[str, Any]:
    """Return a ticker. `time` is that of the last trade.

    {"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{
        "bestAsk":"0.10605","bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160",
        "price":"0.10604","sequence":"915875484","size":"159.3256","time":1743147198992}}
    """
    price, size = instrument.pair.price_increment, instrument.pair.size_increment
    return {
        "topic": TOPIC,
        "type": "message",
        "subject": instrument.pair.symbol,
        "data": {
            "bestAsk": decimal_text(instrument.ask * price),
            "bestAskSize": decimal_text(instrument.ask_size * size),
            "bestBid": decimal_text(instrument.bid * price),
            "bestBidSize": decimal_text(instrument.bid_size * size),
            "price": decimal_text(instrument.price * price),
            "sequence": str(instrument.sequence),
            "size": decimal_text(instrument.size * size),
            "time": instrument.traded_at,
        },
    }


def decimal_text(amount: Decimal) -> str:
    """Return an amount without trailing zeros or exponent: 0.000000114, 2160."""
    return f"{amount.normalize():f}"


def order_key(text: str) -> str:
    """Return the topic and symbol of a ticker frame; an empty key for any other text of a recording."""
    try:
        frame = json.loads(text)
        return f"{frame['topic']} {frame['subject']}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""


DIALECT = Dialect(
    exchange="kucoin",
    lacks=frozenset(),
    error=error,
    announcement=lambda: None,
    order_key=order_key,
    spoilt=(
        lambda text, number: [text, f"unreadable {number}"],
        lambda text, number: [text, encode_json({"type": "unknown", "data": number})],
    ),
)
