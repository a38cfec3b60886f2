"""Read messages of topic `exchange_candles` into candles, requested spans and dead letters. Pure.

Plain Python is fast enough: the first start brings some millions of candles, later there are few.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from exchanges import EXCHANGE
from exchanges.exchange import CANDLE_SECONDS, CandleSource
from spark_jobs.exchange_candles.columns import (
    CANDLE_READ,
    IS_CANDLE,
    IS_SPAN,
    OPTIONAL,
    PRICES,
)
from spark_jobs.tickers import values
from spark_jobs.tickers.columns import IS_DEAD_LETTER, arrow_schema
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE
from spark_jobs.tickers.fields import READERS
from spark_jobs.tickers.values import Number, Unreadable, shown

SCHEMA = arrow_schema(CANDLE_READ)

Row = dict[str, Any]
"""A row of columns.CANDLE_READ, with times in microseconds since the epoch. Missing columns are NULL."""

_decode = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number).decode


def read_candles(messages: pa.RecordBatch) -> pa.Table:
    """Return rows of columns.CANDLE_READ from Kafka records: value, topic, partition, offset."""
    rows = [row for message in messages.to_pylist() for row in rows_of(message)]
    return pa.Table.from_pylist(rows, SCHEMA)


def rows_of(message: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of a message: the requested span, its candles, and what can't be read."""
    origin = {
        "topic": message["topic"],
        "partition": message["partition"],
        "first_offset": message["offset"],
        "last_offset": message["offset"],
    }
    whole = message["value"] or b""
    try:
        span, source, candles = _read(whole)
    except Unreadable as reason:
        yield {
            **origin,
            "kind": IS_DEAD_LETTER,
            "position": WHOLE_MESSAGE,
            "reason": str(reason),
            "payload": whole,
        }
        return
    yield {**origin, **span, "kind": IS_SPAN}
    common = {name: span[name] for name in ("exchange", "symbol", "interval", "received_at")}
    for position, written in enumerate(candles):
        try:
            yield {**origin, **common, **candle_of(written, source, common), "kind": IS_CANDLE}
        except Unreadable as reason:
            yield {
                **origin,
                **common,
                "kind": IS_DEAD_LETTER,
                "position": position,
                "reason": str(reason),
                "payload": values.as_written(written).encode(errors="replace"),
            }


def candle_of(written: Any, source: CandleSource, message: Mapping[str, Any]) -> Row:
    """Return the values of a candle. Raise Unreadable if a required one is missing or can't be right.

    An optional value that can't be read becomes NULL.
    """
    if not isinstance(written, list):
        raise Unreadable("the candle is no JSON array")
    candle = {name: _value(name, written, source) for name in ("start", *PRICES)}
    for name in OPTIONAL:
        try:
            candle[name] = _value(name, written, source) if name in source.columns else None
        except Unreadable:
            candle[name] = None
    if candle["start"] % (CANDLE_SECONDS[message["interval"]] * values.SECOND):
        raise Unreadable(f"start is not a multiple of the interval: {candle['start']}")
    if candle["start"] > message["received_at"]:
        raise Unreadable(f"start is after received_at: {candle['start']}")
    prices = [candle[name] for name in PRICES]
    if min(prices) <= 0:
        raise Unreadable("a price is not positive")
    if candle["low"] != min(prices) or candle["high"] != max(prices):
        raise Unreadable("low or high contradicts the other prices")
    return candle


def _read(whole: bytes) -> tuple[Row, CandleSource, list[Any]]:
    """Return the requested span, the exchange's description of candles, and the candles as written."""
    try:
        message = _decode(whole.decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable("the message is no JSON object") from error
    if not isinstance(message, dict):
        raise Unreadable("the message is no JSON object")
    exchange = EXCHANGE.get(str(message.get("exchange")))
    if exchange is None or exchange.candles is None:
        raise Unreadable(
            f"the exchange is unknown or has no candles: {shown(message.get('exchange'))}"
        )
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


def _value(name: str, written: list[Any], source: CandleSource) -> Any:
    position, form = source.columns[name]
    value = written[position] if position < len(written) else None
    try:
        return READERS[form](value)
    except Unreadable as error:
        raise Unreadable(f"{name} {error}: {shown(value)}") from error
