"""Read messages of topic `exchange_candles` into candles, requested spans and dead letters. Pure.

column_reader reads the candles of a message together, if it understands all of them. Otherwise they are
read one by one here, in plain Python, which is the reference.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from exchanges.exchange import CANDLE_SECONDS, CandleSource
from spark_jobs.exchange_candles.column_reader import read_columns
from spark_jobs.exchange_candles.columns import (
    CANDLE_READ,
    IS_CANDLE,
    IS_SPAN,
    OPTIONAL,
    PRICES,
)
from spark_jobs.exchange_candles.request import Row, origin_of, requested
from spark_jobs.tickers import values
from spark_jobs.tickers.columns import IS_DEAD_LETTER, arrow_schema, as_table
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE
from spark_jobs.tickers.fields import READERS
from spark_jobs.tickers.values import Number, Unreadable, shown

SCHEMA = arrow_schema(CANDLE_READ)

_decode = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number).decode


def read_candles(messages: pa.RecordBatch) -> pa.Table:
    """Return rows of columns.CANDLE_READ from Kafka records: value, topic, partition, offset, timestamp.

    `timestamp` is in microseconds since the epoch.
    """
    rows: list[Row] = []
    frames = []
    for message in messages.to_pylist():
        origin = origin_of(message)
        read = read_columns(message["value"] or b"", origin)
        if read is None:
            rows += rows_of(message)
            continue
        span, candles = read
        rows.append({**origin, **span, "kind": IS_SPAN})
        frames.append(candles)
    table = pa.Table.from_pylist(rows, SCHEMA)
    return pa.concat_tables([table, as_table(pl.concat(frames), CANDLE_READ)]) if frames else table


def rows_of(message: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of a message: the requested span, its candles, and what can't be read."""
    origin = origin_of(message)
    whole = message["value"] or b""
    try:
        span, source, candles = requested(_decoded(whole))
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
                "payload": _payload(written, whole),
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


def _payload(candle: Any, whole: bytes) -> bytes:
    """Return a candle as it was written. If it is nested too deeply for that, return the whole message."""
    try:
        return values.as_written(candle).encode(errors="replace")
    except RecursionError:
        return whole


def _decoded(whole: bytes) -> Any:
    try:
        return _decode(whole.decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable("the message is no JSON object") from error


def _value(name: str, written: list[Any], source: CandleSource) -> Any:
    position, form = source.columns[name]
    value = written[position] if position < len(written) else None
    try:
        return READERS[form](value)
    except Unreadable as error:
        raise Unreadable(f"{name} {error}: {shown(value)}") from error
