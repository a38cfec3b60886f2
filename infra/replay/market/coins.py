"""Simulate the value of each coin in dollars as a seeded random walk; price all pairs from these values.

A coin thus costs about the same on both exchanges, and ADA/EUR, ADA/USDT and ADA/BTC are consistent.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from infra.replay.market.symbols import DATA, Pair

USUAL_SWING = 3.0
"""Largest move per second of coins that are not in `data/coins.csv`, in basis points."""
PULL = 1e-5
"""Share of its distance from the starting level that a coin loses per second. It keeps prices plausible
however long the server runs: with a swing of 1 bp, within a few percent."""


class Coins:
    """Values are floats and are never published: prices are rounded to whole increments."""

    def __init__(self, pairs: Iterable[Pair], seed: int) -> None:
        """Raise ValueError for a pair whose quote is not in `data/coins.csv`."""
        self._random = Random(f"coins {seed}")
        self.swing: dict[str, float] = defaultdict(lambda: USUAL_SWING)
        self.dollars: dict[str, float] = {}
        with (DATA / "coins.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                self.dollars[row["coin"]] = float(row["dollars"])
                self.swing[row["coin"]] = float(row["swing_bp"])
        self._guess_levels(pairs)
        self._starting_levels = dict(self.dollars)
        self._second = 0

    def price(self, pair: Pair) -> float:
        """Return the price of one base in quote."""
        return self.dollars[pair.base] / self.dollars[pair.quote]

    def advance(self, second: int) -> None:
        """Move every coin by one step if `second` is new. Skipped seconds are not made up for."""
        if second == self._second:
            return
        self._second = second
        for coin, value in self.dollars.items():
            move = value * self.swing[coin] * 1e-4 * self._random.uniform(-1, 1)
            self.dollars[coin] = value + move + (self._starting_levels[coin] - value) * PULL

    def _guess_levels(self, pairs: Iterable[Pair]) -> None:
        """Estimate unknown coins' values: exchanges choose increments that leave some four digits."""
        increments = defaultdict(list)
        for pair in pairs:
            if pair.quote not in self.dollars:
                raise ValueError(f"{pair.symbol}: data/coins.csv has no {pair.quote}")
            if pair.base not in self.dollars:
                increments[pair.base].append(float(pair.price_increment) * self.dollars[pair.quote])
        for coin, dollars in increments.items():
            digits = self._random.uniform(2.5, 4)
            self.dollars[coin] = max(min(dollars) * 10**digits, max(dollars) * 20)
