"""Keep the table live_prices in memory, each price with the batch that wrote it.

Convert between batches and the ids of streams.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from operator import attrgetter

from exchanges import EXCHANGE
from server.state.prices import Price
from server.state.selection import Selection

Key = tuple[str, str]
"""Exchange and symbol."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent read of the database: the rows that batches after `previous`, up to `id`, wrote.

    `previous` is None for a read of all rows, which replaces everything known before.
    `epoch` identifies the database and its list of instruments: ids of different epochs can't be
    compared.
    """

    epoch: str
    id: int
    previous: int | None
    prices: list[Price]
    candles: Mapping[Key, str] = field(default_factory=dict)
    """JSON of the newest candles of each changed symbol whose candles a stream follows."""


class PriceTable:
    """All rows as of batch `id`. Each row has the id of the batch that wrote it."""

    def __init__(self, reading: Reading) -> None:
        self.epoch = reading.epoch
        self._prices: dict[Key, Price] = {}
        self._candles: dict[Key, tuple[int, str]] = {}
        self.advance(reading)

    def advance(self, reading: Reading) -> None:
        self.id = reading.id
        self._prices.update(((price.exchange, price.symbol), price) for price in reading.prices)
        for key, text in reading.candles.items():
            self._candles[key] = self._prices[key].batch_id, text

    def __len__(self) -> int:
        return len(self._prices)

    def __getitem__(self, key: Key) -> Price:
        return self._prices[key]

    def get(self, exchange: str, symbol: str) -> Price | None:
        return self._prices.get((exchange, symbol))

    def of(self, exchange: str) -> list[Price]:
        return [price for price in self._prices.values() if price.exchange == exchange]

    def where(self, selection: Selection) -> list[Price]:
        """Return the selected rows, sorted by exchange and symbol."""
        candidates: Iterable[Price] = self._prices.values()
        if selection.symbols:
            keys = product(EXCHANGE, selection.symbols)
            candidates = (self._prices[key] for key in keys if key in self._prices)
        return sorted(filter(selection.matches, candidates), key=attrgetter("exchange", "symbol"))

    def candles(self, price: Price) -> str | None:
        """Return the JSON of the newest candles as of the price's batch; None if they were not read."""
        batch_id, text = self._candles.get((price.exchange, price.symbol), (None, None))
        return text if batch_id == price.batch_id else None

    def newest_received(self, exchange: str) -> datetime | None:
        """Return when the newest price of the exchange was received; None if there is none."""
        return max((price.received_at for price in self.of(exchange)), default=None)

    def name(self, batch: int) -> str:
        """Return the id that streams use for the state as of a batch: `5f3c1a2b-311`."""
        return f"{self.epoch}-{batch}"

    def batch_of_id(self, name: str) -> int | None:
        """Return the batch of an id, or None if it is of another epoch or newer than this table."""
        epoch, _, batch = name.rpartition("-")
        is_batch = batch.isascii() and batch.isdecimal()
        return int(batch) if epoch == self.epoch and is_batch and int(batch) <= self.id else None
