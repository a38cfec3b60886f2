"""Read from a message of `exchange_candles` what was requested, and find the candles in the response."""

from collections.abc import Mapping
from typing import Any

from exchanges import EXCHANGE
from exchanges.exchange import CANDLE_SECONDS, CandleSource
from spark_jobs.tickers import values
from spark_jobs.tickers.values import Unreadable, shown

Row = dict[str, Any]
"""A row of columns.CANDLE_READ, with times in microseconds since the epoch. Missing columns are NULL."""


def origin_of(message: Mapping[str, Any]) -> Row:
    """Return the place of a Kafka record, and its timestamp."""
    return {
        "topic": message["topic"],
        "partition": message["partition"],
        "first_offset": message["offset"],
        "last_offset": message["offset"],
        "timestamp": message["timestamp"],
    }


def requested(message: Any) -> tuple[Row, CandleSource, list[Any]]:
    """Return the requested span, the exchange's description of candles, and the candles as written.

    `message` is decoded, with numbers as values.Number at its first level. Raise Unreadable.
    """
    if not isinstance(message, dict):
        raise Unreadable("the message is no JSON object")
    name = message.get("exchange")
    exchange = EXCHANGE.get(name) if isinstance(name, str) else None
    if exchange is None or exchange.candles is None:
        raise Unreadable(f"the exchange is unknown or has no candles: {shown(name)}")
    interval = message.get("interval")
    if not isinstance(interval, str) or interval not in CANDLE_SECONDS:
        raise Unreadable(f"interval is unknown: {shown(interval)}")
    reason = message.get("reason")
    span = {
        "exchange": exchange.name,
        "symbol": _named("symbol", message, values.name),
        "interval": interval,
        "start": _named("from", message, values.microseconds),
        "until": _named("to", message, values.microseconds),
        "received_at": _named("received_at", message, values.microseconds),
        "reason": None if reason is None else shown(reason),
    }
    response = message.get("response")
    if reason is not None:
        return span, exchange.candles, []
    for key in exchange.candles.path:
        response = response.get(key) if isinstance(response, dict) else None
    if not isinstance(response, list):
        raise Unreadable("the response has no array of candles")
    return span, exchange.candles, response


def _named(name: str, message: Mapping[str, Any], read: values.Read) -> Any:
    try:
        return read(message.get(name))
    except Unreadable as error:
        raise Unreadable(f"{name} {error}: {shown(message.get(name))}") from error
