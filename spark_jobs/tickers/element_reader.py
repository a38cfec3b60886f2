"""Read messages element by element, in plain Python: slower than column_reader, and its reference."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

import polars as pl
import pyarrow as pa

from core.topics import EXCHANGE_OF_TOPIC
from exchanges.exchange import written_at
from spark_jobs.tickers import values
from spark_jobs.tickers.columns import (
    IS_DEAD_LETTER,
    IS_TICKER,
    IS_UNREAD,
    READ,
    arrow_schema,
    as_frame,
)
from spark_jobs.tickers.elements import elements_of
from spark_jobs.tickers.fields import FIELDS, REQUIRED, UNREADABLE, Field
from spark_jobs.tickers.values import Unreadable, shown

WHOLE_MESSAGE = -1
"""The position of a dead letter that is a whole message."""

CLOCK_LIMIT = 15 * 60_000_000
"""Maximum lead of an extractor's clock over Kafka's, in microseconds. A clock that is not synchronised
drifts by minutes; one in a wrong time zone is off by at least half an hour."""

NO_ARRAY = "the message is no JSON array"
AFTER_ARRAY = "this follows the message's array"
NO_OBJECT = "the item is no JSON object"
NO_FRAME = "the extractor could not read this frame"
MISSING = "{} is missing"
WRONG = "{} can't be read"
AHEAD = "received_at is ahead of Kafka's clock"
CAUSES = (
    *(NO_ARRAY, AFTER_ARRAY, NO_OBJECT, NO_FRAME, AHEAD),
    *map(MISSING.format, REQUIRED),
    *map(WRONG.format, (*REQUIRED, "price")),
)
"""Every cause of a dead letter: its reason without the value."""

ROWS_AT_ONCE = 10_000
"""Maximum number of rows held as Python objects, which take ten times as much memory as rows of a frame."""

Row = dict[str, Any]
"""A row of columns.READ, with times in microseconds since the epoch. Columns that it lacks are NULL."""

SCHEMA = arrow_schema(READ)


def read_elements(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.READ from messages with columns.MESSAGE, in the order of their items."""
    # A record's timestamp may be one that Python's datetime can't hold.
    numbered = messages.with_columns(pl.col("timestamp").dt.epoch("us"))
    rows = chain.from_iterable(map(rows_of, numbered.iter_rows(named=True)))
    tables = [SCHEMA.empty_table()]
    while some := list(islice(rows, ROWS_AT_ONCE)):
        tables.append(pa.Table.from_pylist(some, SCHEMA))
    return as_frame(pa.concat_tables(tables))


def rows_of(message: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the rows of a message, whose `timestamp` is in microseconds since the epoch.

    Each element is a ticker, a dead letter or, without a price, neither. Each field that can't be read
    is another row. A message that is not an array is one dead letter at position -1. Text after the
    array is a dead letter at the position after the last element.
    """
    whole = message["value"] or b""
    origin = {
        "exchange": EXCHANGE_OF_TOPIC[message["topic"]],
        **{name: message[name] for name in ("endpoint", "topic", "partition", "offset")},
    }
    try:
        elements, rest = elements_of(whole)
    except (ValueError, RecursionError):
        no_array = {**origin, "position": WHOLE_MESSAGE}
        yield _dead_letter(no_array, NO_ARRAY, whole)
        return
    for position, (text, item) in enumerate(elements):
        at = {**origin, "position": position}
        try:
            yield from _read(at, item, message["timestamp"])
        except DeadLetter as reason:
            received_at = _received_at(item)
            yield _dead_letter({**at, "received_at": received_at}, str(reason), text.encode())
    if rest:
        behind = {**origin, "position": len(elements)}
        yield _dead_letter(behind, AFTER_ARRAY, rest.encode())


class DeadLetter(ValueError):
    """An item that can't be a ticker; the error's text is the reason."""


def _read(origin: Row, item: Any, timestamp: int | None) -> Iterator[Row]:
    """Yield the rows of an item. Raise DeadLetter if a required field is missing or wrong."""
    if not isinstance(item, dict):
        raise DeadLetter(NO_OBJECT)
    if item.get(UNREADABLE) is not None:
        raise DeadLetter(NO_FRAME)
    fields = FIELDS[origin["topic"]]
    written = {name: written_at(field.paths, item) for name, field in fields.items()}
    required = _required(written, fields, timestamp)
    found, faults = _optional(written, fields)
    if "price" not in faults:
        yield {**origin, **required, **found, "kind": IS_TICKER}
    seen = {**origin, "symbol": required["symbol"], "received_at": required["received_at"]}
    for name, reason in faults.items():
        payload = shown(written[name]).encode()
        yield {**seen, "kind": IS_UNREAD, "field": name, "reason": reason, "payload": payload}


def _required(written: Row, fields: Mapping[str, Field], timestamp: int | None) -> Row:
    """Return the values that each ticker needs besides its price."""
    for name in REQUIRED:
        if written[name] is None:
            raise DeadLetter(MISSING.format(name))
    found = {name: _needed(name, written, fields) for name in REQUIRED}
    # Compare with the record's timestamp, so that reading it again has the same result.
    if timestamp is not None and found["received_at"] - CLOCK_LIMIT > timestamp:
        raise DeadLetter(f"{AHEAD}: {found['received_at']}")
    return found


def _optional(written: Row, fields: Mapping[str, Field]) -> tuple[Row, dict[str, str]]:
    """Return the other values, and the reason of each field that is written but can't be read.

    An exchange may not have a price yet: it is absent or zero. That is no dead letter, but the price then
    has a reason, too.
    """
    found: Row = {}
    faults: dict[str, str] = {}
    if written["price"] in (None, ""):
        faults["price"] = "is absent"
    else:
        found["price"] = _needed("price", written, fields)
        if found["price"] <= 0:
            faults["price"] = "is zero or less"
    for name, field in fields.items():
        if name in REQUIRED or name == "price" or written[name] is None:
            continue
        try:
            found[name] = field.read(written[name])
        except Unreadable as reason:
            faults[name] = str(reason)
    return found, faults


def _needed(name: str, written: Row, fields: Mapping[str, Field]) -> Any:
    try:
        return fields[name].read(written[name])
    except Unreadable as error:
        raise DeadLetter(f"{WRONG.format(name)}: {shown(written[name])}") from error


def _received_at(item: Any) -> int | None:
    """Return the time of receipt; None if it can't be read."""
    try:
        return values.microseconds(item["received_at"])
    except (Unreadable, KeyError, TypeError):
        return None


def _dead_letter(origin: Row, reason: str, payload: bytes) -> Row:
    return {**origin, "kind": IS_DEAD_LETTER, "reason": reason, "payload": payload}
