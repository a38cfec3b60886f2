"""Define a price as the client returns it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

Key = tuple[str, str]
"""Exchange and symbol."""


@dataclass(frozen=True, slots=True)
class Price:
    """The newest price of a symbol.

    A field is None if the exchange does not send it, or if it was not asked for.
    """

    exchange: str
    symbol: str
    base: str | None = None
    quote: str | None = None
    status: str | None = None
    """TRADING, DELISTED, or the exchange's own word for another state."""
    price: Decimal | None = None
    bid: Decimal | None = None
    bid_size: Decimal | None = None
    ask: Decimal | None = None
    ask_size: Decimal | None = None
    last_size: Decimal | None = None
    open_24h: Decimal | None = None
    high_24h: Decimal | None = None
    low_24h: Decimal | None = None
    base_volume_24h: Decimal | None = None
    quote_volume_24h: Decimal | None = None
    traded_at: datetime | None = None
    event_time: datetime | None = None
    sequence: int | None = None
    received_at: datetime | None = None
    """When the pipeline received it from the exchange."""
    endpoint: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    position: int | None = None
    batch_id: int | None = None
    simulated: bool | None = None

    @property
    def key(self) -> Key:
        return self.exchange, self.symbol


def price_of(row: Mapping[str, Any]) -> Price:
    """Return the price of a row of a message. Fields that this version does not know are left out."""
    values = {
        name: value if value is None or (read := _READERS[name]) is None else read(value)
        for name, value in row.items()
        if name in _READERS
    }
    return Price(**values)


def _reader(annotation: str) -> Callable[[Any], Any] | None:
    if "Decimal" in annotation:
        return Decimal
    if "datetime" in annotation:
        return datetime.fromisoformat
    return None


_READERS = {field.name: _reader(str(field.type)) for field in fields(Price)}
"""Function that reads the JSON value of each field; None if it is taken as it is."""
