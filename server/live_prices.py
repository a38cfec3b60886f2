"""The table live_prices in memory, and the messages that are made of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.prices import Price


@dataclass(frozen=True, slots=True)
class Reading:
    """One consistent look at the table: what the batches after `previous`, up to `id`, wrote.

    `previous` is None for a look at all rows, which says nothing about what was known before.
    """

    id: int
    previous: int | None
    prices: list[Price]


class LivePrices:
    """All rows as of batch `id`.

    A row knows the batch that wrote it, so what changed since any id can be told. A client who is
    some batches behind gets the latest version of each row, and none of those between. A message
    is made once for all clients who are equally far.
    """

    def __init__(self, reading: Reading) -> None:
        self._prices: dict[tuple[str, str], Price] = {}
        self.advance(reading)

    def advance(self, reading: Reading) -> None:
        self.id = reading.id
        self._prices.update(((price.exchange, price.symbol), price) for price in reading.prices)
        self._snapshot: str | None = None
        self._changes: dict[int, str] = {}

    def get(self, exchange: str, symbol: str) -> Price | None:
        return self._prices.get((exchange, symbol))

    def of(self, exchange: str) -> list[Price]:
        return [price for price in self._prices.values() if price.exchange == exchange]

    def snapshot(self) -> str:
        """{"type":"snapshot","id":N,"prices":[every row]}"""
        if self._snapshot is None:
            prices = _array(self._prices.values())
            self._snapshot = f'{{"type":"snapshot","id":{self.id},"prices":{prices}}}'
        return self._snapshot

    def changes_since(self, previous: int) -> str:
        """{"type":"changes","id":N,"previous":M,"prices":[the rows with batch_id > M]}"""
        if previous not in self._changes:
            prices = _array(p for p in self._prices.values() if p.batch_id > previous)
            self._changes[previous] = (
                f'{{"type":"changes","id":{self.id},"previous":{previous},"prices":{prices}}}'
            )
        return self._changes[previous]

    def answer(self, exchange: str | None, symbol: str | None) -> str:
        """{"id":N,"prices":[the rows that match, in order]}; None matches all."""
        prices = _array(
            sorted(
                price
                for price in self._prices.values()
                if exchange in (None, price.exchange) and symbol in (None, price.symbol)
            )
        )
        return f'{{"id":{self.id},"prices":{prices}}}'


def _array(prices: Iterable[Price]) -> str:
    return f"[{','.join(price.json for price in prices)}]"
