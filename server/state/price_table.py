"""Keep the table live_prices in memory, and find the changes since a batch."""

from collections.abc import Mapping
from dataclasses import dataclass

from server.state.prices import Price

Key = tuple[str, str]
"""Exchange and symbol."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent read of the database: the rows that batches after `previous`, up to `id`, wrote.

    `previous` is None for a read of all rows, which replaces everything known before.
    `epoch` identifies the database: ids of different databases can't be compared.
    `quotes` is None if the instruments have not changed since the last reading.
    """

    epoch: str
    id: int
    previous: int | None
    prices: list[Price]
    quotes: Mapping[Key, str] | None


class PriceTable:
    """All rows as of batch `id`. Each row has the id of the batch that wrote it."""

    def __init__(self, reading: Reading) -> None:
        self.epoch = reading.epoch
        self.quotes: Mapping[Key, str] = {}
        self._prices: dict[Key, Price] = {}
        self.advance(reading)

    def advance(self, reading: Reading) -> None:
        self.id = reading.id
        self._prices.update(((price.exchange, price.symbol), price) for price in reading.prices)
        if reading.quotes is not None:
            self.quotes = reading.quotes
            self.quotes_since = reading.id
            """States up to this batch may have had other quotes."""

    def __len__(self) -> int:
        return len(self._prices)

    def __contains__(self, key: Key) -> bool:
        return key in self._prices

    def __getitem__(self, key: Key) -> Price:
        return self._prices[key]

    def keys(self) -> list[Key]:
        return list(self._prices)

    def get(self, exchange: str, symbol: str) -> Price | None:
        return self._prices.get((exchange, symbol))

    def of(self, exchange: str) -> list[Price]:
        return [price for price in self._prices.values() if price.exchange == exchange]

    def where(self, exchange: str | None, symbol: str | None) -> list[Price]:
        """Return the matching rows, sorted; None matches all."""
        return sorted(
            price
            for price in self._prices.values()
            if exchange in (None, price.exchange) and symbol in (None, price.symbol)
        )

    def name(self, batch: int) -> str:
        """Return the id that streams use for the state as of a batch: `5f3c1a2b-311`."""
        return f"{self.epoch}-{batch}"

    def batch_of_id(self, name: str) -> int | None:
        """Return the batch of an id, or None if it is of another database or newer than this table."""
        epoch, _, batch = name.rpartition("-")
        is_batch = batch.isascii() and batch.isdecimal()
        return int(batch) if epoch == self.epoch and is_batch and int(batch) <= self.id else None
