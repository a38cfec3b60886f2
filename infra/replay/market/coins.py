"""What each coin is worth, in dollars: it wanders from a seed, and all pairs are priced from it.

So a coin costs about the same on both exchanges, and ADA/EUR, ADA/USDT and ADA/BTC fit together.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from infra.replay.market.symbols import DATA, Pair

# The largest move in a second of a coin that `data/coins.csv` does not know, in basis points.
USUAL_SWING = 3.0
# The share of its distance from the starting level that a coin loses in a second. It keeps prices
# plausible for as long as the server runs: with a swing of 1 bp, within a few percent.
PULL = 1e-5


class Coins:
    """Values are floats that nobody sees: what is printed is counted in whole increments."""

    def __init__(self, pairs: Iterable[Pair], seed: int) -> None:
        """Raise ValueError for a pair whose quote `data/coins.csv` does not know."""
        self._random = Random(f"coins {seed}")
        self.swing: dict[str, float] = defaultdict(lambda: USUAL_SWING)
        self.dollars: dict[str, float] = {}
        with (DATA / "coins.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                self.dollars[row["coin"]] = float(row["dollars"])
                self.swing[row["coin"]] = float(row["swing_bp"])
        self._guess_levels(pairs)
        self._home = dict(self.dollars)
        self._second = 0

    def price(self, pair: Pair) -> float:
        """One base in quote."""
        return self.dollars[pair.base] / self.dollars[pair.quote]

    def advance(self, second: int) -> None:
        """Wander once if a new second has begun, however long ago the last one was."""
        if second == self._second:
            return
        self._second = second
        for coin, value in self.dollars.items():
            move = value * self.swing[coin] * 1e-4 * self._random.uniform(-1, 1)
            self.dollars[coin] = value + move + (self._home[coin] - value) * PULL

    def _guess_levels(self, pairs: Iterable[Pair]) -> None:
        """An exchange chooses a price increment that leaves a price about four digits."""
        increments = defaultdict(list)
        for pair in pairs:
            if pair.base not in self.dollars:
                if pair.quote not in self.dollars:
                    raise ValueError(f"{pair.symbol}: data/coins.csv does not know {pair.quote}")
                increments[pair.base].append(float(pair.price_increment) * self.dollars[pair.quote])
        for coin, dollars in increments.items():
            digits = self._random.uniform(2.5, 4)
            self.dollars[coin] = max(min(dollars) * 10**digits, max(dollars) * 20)
