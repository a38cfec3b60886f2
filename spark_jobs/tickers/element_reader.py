"""One message to rows, element by element, in plain Python: slower, and the reference of column_reader."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.tickers import values
from spark_jobs.tickers.columns import IS_DEAD_LETTER, IS_TICKER, IS_UNREAD, READ, polars_schema
from spark_jobs.tickers.elements import elements_of
from spark_jobs.tickers.fields import FIELDS, REQUIRED, UNREADABLE, Field
from spark_jobs.tickers.values import Unreadable, shown

WHOLE_MESSAGE = -1
"""The position of a dead letter that is a whole message."""

CLOCK_LIMIT = 15 * 60_000_000
"""Microseconds that an extractor's clock may be ahead of Kafka's. One that is not kept right drifts by
minutes; one in a wrong time zone is half an hour out."""

EPOCH = datetime.fromtimestamp(0, UTC)

# A row of columns.READ; what it lacks is NULL.
Row = dict[str, Any]

SCHEMA = polars_schema(READ)
TIMES = [name for name, kind in READ.items() if kind == "TIMESTAMP"]


def read_elements(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.READ of messages with columns.MESSAGE, in the order of their items."""
    rows = [row for message in messages.iter_rows(named=True) for row in rows_of(message)]
    as_numbers = {**SCHEMA, **dict.fromkeys(TIMES, pl.Int64())}
    return pl.DataFrame(rows, as_numbers, orient="row").cast({name: SCHEMA[name] for name in TIMES})


def rows_of(message: Mapping[str, Any]) -> Iterator[Row]:
    """Yield rows of columns.READ, times in microseconds since the epoch.

    Each element is a ticker or a dead letter, or, without a price, neither; each field that can't be
    read is a row of its own beside it. A message that is no array is one dead letter at position -1. What
    follows an array is a dead letter at the position after its last element.
    """
    whole = message["value"] or b""
    place = {
        "exchange": EXCHANGE_OF_TOPIC[message["topic"]],
        **{name: message[name] for name in ("endpoint", "topic", "partition", "offset")},
    }
    try:
        elements, rest = elements_of(whole)
    except (ValueError, RecursionError):
        no_array = {**place, "position": WHOLE_MESSAGE}
        yield _dead_letter(no_array, "the message is no JSON array", whole)
        return
    for position, (text, item) in enumerate(elements):
        at = {**place, "position": position}
        try:
            yield from _read(at, item, message["timestamp"])
        except DeadLetter as reason:
            received_at = _received_at(item)
            yield _dead_letter({**at, "received_at": received_at}, str(reason), text.encode())
    if rest:
        behind = {**place, "position": len(elements)}
        yield _dead_letter(behind, "this follows the message's array", rest.encode())


class DeadLetter(ValueError):
    """An item that can be no ticker; the message is the reason."""


def _read(place: Row, item: Any, timestamp: datetime | None) -> Iterator[Row]:
    """Raise DeadLetter where something is wrong that a ticker needs."""
    if not isinstance(item, dict):
        raise DeadLetter("the item is no JSON object")
    if item.get(UNREADABLE) is not None:
        raise DeadLetter("the extractor could not read this frame")
    fields = FIELDS[place["topic"]]
    required = _required(item, fields, timestamp)
    found, faults = _optional(item, fields)
    if "price" not in faults:
        yield {**place, **required, **found, "kind": IS_TICKER}
    seen = {**place, "symbol": required["symbol"], "received_at": required["received_at"]}
    for name, reason in faults.items():
        payload = shown(written(item, fields[name])).encode()
        yield {**seen, "kind": IS_UNREAD, "field": name, "reason": reason, "payload": payload}


def _required(item: Any, fields: Mapping[str, Field], timestamp: datetime | None) -> Row:
    """Return what each ticker needs; with the price, where one is written."""
    for name in REQUIRED:
        if written(item, fields[name]) is None:
            raise DeadLetter(f"{name} is missing")
    found = {name: _needed(name, item, fields[name]) for name in REQUIRED}
    # By the record's own timestamp, so that whoever reads it again decides the same.
    if timestamp and found["received_at"] - CLOCK_LIMIT > microseconds_of(timestamp):
        raise DeadLetter(f"received_at is ahead of Kafka's clock: {found['received_at']}")
    return found


def _optional(item: Any, fields: Mapping[str, Field]) -> tuple[Row, dict[str, str]]:
    """Return the other values, and why a field has none although something is written.

    A price is needed, but an exchange that has none yet says so: absent, or zero. That is no dead letter.
    """
    found: Row = {"price": None}
    faults: dict[str, str] = {}
    if is_absent(item, fields["price"]):
        faults["price"] = "is absent"
    else:
        found["price"] = _needed("price", item, fields["price"])
        if found["price"] <= 0:
            faults["price"] = "is zero or less"
    for name in fields.keys() - {*REQUIRED, "price"}:
        at = written(item, fields[name])
        try:
            found[name] = None if at is None else fields[name].read(at)
        except Unreadable as reason:
            faults[name] = str(reason)
    return found, faults


def is_absent(item: Any, field: Field) -> bool:
    return written(item, field) in (None, "")


def microseconds_of(timestamp: datetime) -> int:
    return (timestamp - EPOCH) // timedelta(microseconds=1)


def written(item: Mapping[str, Any], field: Field) -> Any:
    """Return what stands at the field's path, None where nothing does."""
    found: Any = item
    for key in field.path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _needed(name: str, item: Any, field: Field) -> Any:
    at = written(item, field)
    try:
        return field.read(at)
    except Unreadable as error:
        raise DeadLetter(f"{name} can't be read: {shown(at)}") from error


def _received_at(item: Any) -> int | None:
    """None where it can't be read."""
    try:
        return values.microseconds(item["received_at"])
    except (Unreadable, KeyError, TypeError, IndexError):
        return None


def _dead_letter(place: Row, reason: str, payload: bytes) -> Row:
    return {**place, "kind": IS_DEAD_LETTER, "reason": reason, "payload": payload}
