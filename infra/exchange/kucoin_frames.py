"""The frames that KuCoin sends, as texts. Pure."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from infra.exchange.disturbances import Dialect
from infra.exchange.encoding import encode_json
from infra.exchange.instrument import Instrument

TOPIC = "/market/ticker:all"

# KuCoin's words for its codes (www.kucoin.com/docs-new/error-code/websocket).
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


def refusal(command_id: str, code: int, problem: str = "") -> str:
    """{"id":"1","type":"error","code":404,"data":"topic does not exist"}"""
    data = problem or problem_of(code)
    return encode_json({"id": command_id, "type": "error", "code": code, "data": data})


def error(code: int) -> str:
    """Between the data, in answer to nothing, it carries no id."""
    return encode_json({"type": "error", "code": code, "data": problem_of(code)})


def problem_of(code: int) -> str:
    return PROBLEMS.get(code, f"error {code}")


def tickers(instruments: Sequence[Instrument]) -> list[str]:
    """One frame each."""
    return [encode_json(ticker(instrument)) for instrument in instruments]


def ticker(instrument: Instrument) -> dict[str, Any]:
    """`time` is that of the last trade.

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
    """No zeros at the end and no exponent: 0.000000114, 2160."""
    return f"{amount.normalize():f}"


def subject(text: str) -> str:
    """Of a ticker: its symbol."""
    return str(json.loads(text)["subject"])


DIALECT = Dialect(
    exchange="kucoin",
    lacks=frozenset(),
    error=error,
    announcement=lambda: None,
    order_key=subject,
    spoilt=(
        lambda text, number: [text, f"unreadable {number}"],
        lambda text, number: [text, encode_json({"type": "unknown", "data": number})],
    ),
)
