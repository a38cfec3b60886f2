"""Define the path and form of each ticker column in an exchange's messages."""

from collections.abc import Mapping
from typing import NamedTuple

from exchanges import EXCHANGES
from exchanges.exchange import Exchange, Form, Path
from spark_jobs.tickers import values
from spark_jobs.tickers.values import Read

READERS: Mapping[Form, Read] = {
    Form.NAME: values.name,
    Form.AMOUNT: values.amount,
    Form.INTEGER: values.whole_number,
    Form.SECONDS: values.seconds,
    Form.MILLISECONDS: values.milliseconds,
    Form.MICROSECONDS: values.microseconds,
    Form.ISO_8601: values.iso_8601,
}


class Field(NamedTuple):
    """Locations and reader of a value, which is at the first path where something is written.

    `read` returns the value or raises Unreadable.
    """

    paths: tuple[Path, ...]
    read: Read

    @property
    def is_time(self) -> bool:
        return self.is_number or self.read is values.iso_8601

    @property
    def is_number(self) -> bool:
        """Whether the value is a time since the epoch, which column_reader expects as a JSON number.

        It expects all others as JSON strings, except those that share a path with such a time, as
        Binance's sequence does.
        """
        return self.read in values.UNIT_OF_TIME


RECEIVED_AT = Field((("received_at",),), values.microseconds)
"""Time of receipt, which the extractor adds to each item."""


def fields_of(exchange: Exchange) -> dict[str, Field]:
    """Return the fields of an exchange's tickers, with replacements for those that it lacks.

    The time of receipt replaces a missing event time; the event time replaces a missing sequence.
    """
    own = {name: Field(field.paths, READERS[field.form]) for name, field in exchange.fields.items()}
    event_time = own.get("event_time", RECEIVED_AT)
    return {"sequence": event_time, **own, "event_time": event_time, "received_at": RECEIVED_AT}


FIELDS: Mapping[str, Mapping[str, Field]] = {
    exchange.raw_topic: fields_of(exchange) for exchange in EXCHANGES
}
"""Fields by raw topic."""

REQUIRED = ("symbol", "event_time", "sequence", "received_at")
"""Columns that a ticker needs besides a price. An item that lacks one of them is a dead letter. An item
that lacks only the price is neither a ticker nor a dead letter."""

UNREADABLE = "unreadable"
"""Key of an item whose frame the extractor could not read."""
