"""Build the texts that Binance sends: tickers, errors, announcements.

Pure, except that an announcement has the current time.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from infra.replay.encoding import encode_json
from infra.replay.faults.disturbances import Dialect
from infra.replay.faults.faults import NoAck, NoWelcome, RefuseWelcome
from infra.replay.market.instrument import Instrument
from infra.replay.source import now_ms
from infra.replay.streams import Update

STREAM = "!miniTicker@arr"
# The second name is not in Binance's documents; python-binance uses it, from Binance's page.
ALL_MINI_TICKERS = frozenset({STREAM, f"{STREAM}@1000ms"})
BUSY = "Service is busy"
"""Message of every error frame that a fault causes, whatever its code."""


class BinanceUpdate(Update):
    """Changed instruments, for `!miniTicker@arr`, `<symbol>@miniTicker` and `<symbol>@bookTicker`.

    An item of the array has the same text as the message of the symbol's stream.
    """

    def __init__(self, changes: Sequence[Instrument]) -> None:
        self._changes = {instrument.pair.symbol: instrument for instrument in changes}

    def serves(self, stream: str) -> bool:
        return stream in ALL_MINI_TICKERS or channel_of(stream) in {"miniTicker", "bookTicker"}

    def messages(self, stream: str) -> Sequence[str]:
        if stream in ALL_MINI_TICKERS:
            return [encode_json([mini_ticker(each) for each in self._changes.values()])]
        if not (instrument := self._changes.get(symbol_of(stream))):
            return ()
        match channel_of(stream):
            case "miniTicker":
                return [encode_json(mini_ticker(instrument))]
            case "bookTicker":
                return [encode_json(book_ticker(instrument))]
            case _:
                return ()

    def symbols(self) -> Collection[str]:
        return self._changes.keys()

    def fields(self, symbol: str) -> Mapping[str, Any] | None:
        """Return the fields of `<symbol>@miniTicker`, and those of `@ticker` that are known."""
        if not (instrument := self._changes.get(symbol)):
            return None
        size = instrument.size * instrument.pair.size_increment
        return book_ticker(instrument) | mini_ticker(instrument) | {"Q": decimal_text(size)}


def symbol_of(stream: str) -> str:
    """Return the symbol in a stream's name, "" if it is not in lower case as Binance requires.

    btcusdt@miniTicker -> BTCUSDT
    """
    symbol = stream.partition("@")[0]
    return symbol.upper() if symbol == symbol.lower() else ""


def channel_of(stream: str) -> str:
    """btcusdt@miniTicker -> miniTicker"""
    symbol, _, channel = stream.partition("@")
    return channel if symbol and not symbol.startswith("!") else ""


def combined(stream: str, text: str) -> str:
    """Return the text of a stream, unchanged, in the envelope of combined streams."""
    return f'{{"stream":{encode_json(stream)},"data":{text}}}'


def refusal(code: int, problem: str, request_id: object = None) -> str:
    """{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}"""
    return encode_json({"error": {"code": code, "msg": problem}, "id": request_id})


def mini_ticker(instrument: Instrument) -> dict[str, Any]:
    """{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000",
    "o":"87304.35000000","h":"87728.27000000","l":"85300.01000000",
    "v":"20230.79019000","q":"1754434346.25694750"}
    """
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


def book_ticker(instrument: Instrument) -> dict[str, Any]:
    """{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000",
    "a":"25.36520000","A":"40.66000000"}
    """
    price, size = instrument.pair.price_increment, instrument.pair.size_increment
    return {
        "u": instrument.sequence,
        "s": instrument.pair.symbol,
        "b": decimal_text(instrument.bid * price),
        "B": decimal_text(instrument.bid_size * size),
        "a": decimal_text(instrument.ask * price),
        "A": decimal_text(instrument.ask_size * size),
    }


def decimal_text(amount: Decimal) -> str:
    """Return an amount with eight decimals: 85439.99000000."""
    return f"{amount:.8f}"


def error(code: int) -> str:
    """Return an error without a request id."""
    return refusal(code, BUSY)


def shutdown_announcement() -> tuple[str, str]:
    """{"e":"serverShutdown","E":1770123456789}"""
    return "!serverShutdown", encode_json({"e": "serverShutdown", "E": now_ms()})


def spoilt_array(text: str, unreadable: str) -> list[str]:
    """Return an array with one more element, which is unreadable; after an object, a frame of its own."""
    return [f'{text[:-1]},"{unreadable}"]'] if text.endswith("]") else [text, unreadable]


DIALECT = Dialect(
    exchange="binance",
    # Binance sends nothing before the data.
    lacks=frozenset({NoWelcome, NoAck, RefuseWelcome}),
    error=error,
    announcement=shutdown_announcement,
    order_key=lambda text: "",
    spoilt=(
        lambda text, number: [text, f"unreadable {number}"],
        lambda text, number: [text, encode_json({"e": "unknown", "E": number})],
        lambda text, number: spoilt_array(text, f"unreadable {number}"),
    ),
)
