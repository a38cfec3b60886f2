"""Collect the changes that the caller has not taken yet: the newest price of each symbol."""

from collections.abc import Iterable

from crypto_prices.price import Key, Price


class Pending:
    """Changes in the order in which their symbols changed first. At most one per symbol."""

    def __init__(self) -> None:
        self._prices: dict[Key, Price] = {}
        self.skipped = 0
        """Number of changes that were replaced by later ones."""

    def add(self, prices: Iterable[Price]) -> None:
        for price in prices:
            self.skipped += price.key in self._prices
            self._prices[price.key] = price

    def __len__(self) -> int:
        return len(self._prices)

    def pop(self) -> Price:
        """Return and remove the oldest one. Raise StopIteration if there is none."""
        return self._prices.pop(next(iter(self._prices)))
