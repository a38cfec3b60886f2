"""The frames that Binance sends, as texts. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from infra.exchange.disturbances import Dialect
from infra.exchange.encoding import encode_json
from infra.exchange.faults import NoAck, NoWelcome, RefuseWelcome
from infra.exchange.feed import now_ms
from infra.exchange.instrument import Instrument


def refusal(code: int, problem: str, request_id: object = None) -> str:
    """{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}"""
    return encode_json({"error": {"code": code, "msg": problem}, "id": request_id})


def mini_ticker_array(changes: Sequence[Instrument]) -> list[str]:
    """One array of those that changed, each with the time of its own change.

    [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000",
      "o":"87304.35000000","h":"87728.27000000","l":"85300.01000000",
      "v":"20230.79019000","q":"1754434346.25694750"}, ...]
    """
    return [encode_json([mini_ticker(instrument) for instrument in changes])]


def mini_ticker(instrument: Instrument) -> dict[str, Any]:
    price, size = instrument.pair.price_increment, instrument.pair.size_increment
    day = instrument.day
    return {
        "e": "24hrMiniTicker",
        "E": instrument.traded_at,
        "s": instrument.pair.symbol,
        "c": decimal_text(instrument.price * price),
        "o": decimal_text(day.open * price),
        "h": decimal_text(day.high * price),
        "l": decimal_text(day.low * price),
        "v": decimal_text(day.base_volume * size),
        "q": decimal_text(day.quote_volume * price * size),
    }


def decimal_text(amount: Decimal) -> str:
    """Always eight decimals: 85439.99000000."""
    return f"{amount:.8f}"


def error(code: int, request_id: object = None) -> str:
    """Its words are the same for every code."""
    return refusal(code, "Service is busy", request_id)


def shutdown_announcement() -> str:
    """{"e":"serverShutdown","E":1770123456789}"""
    return encode_json({"e": "serverShutdown", "E": now_ms()})


DIALECT = Dialect(
    exchange="binance",
    # Binance says nothing before the data.
    lacks=frozenset({NoWelcome, NoAck, RefuseWelcome}),
    error=error,
    announcement=shutdown_announcement,
    order_key=lambda text: "",
    spoilt=(
        lambda text, number: [text, f"unreadable {number}"],
        lambda text, number: [text, encode_json({"e": "unknown", "E": number})],
        lambda text, number: [f'{text[:-1]},"unreadable {number}"]'],
    ),
)
