"""Simulate one pair on one exchange: its best bid and ask, last trade, rolling 24 hours and candles."""

from itertools import islice
from math import ceil, floor
from random import Random

from infra.replay.market.candles import Candles, Walk
from infra.replay.market.coins import Coins
from infra.replay.market.day import HOURS, Day
from infra.replay.market.symbols import Pair

OLDEST_TRADE_MS = 25 * 60 * 1000
"""Maximum age of the last trade at the start. In recorded KuCoin frames it was up to 25 minutes."""
SEQUENCE_STEP = 33
"""Maximum step of the sequence. In recorded KuCoin frames of a symbol it grew by 1 to 33."""
PREMIUM = 5e-4
"""Maximum difference, 5 basis points, between an exchange's fair price and the coins' values."""


class Instrument:
    """Prices are integers in price increments, sizes in size increments: products with the increment are
    exact amounts. Times are in milliseconds since the epoch.
    """

    def __init__(
        self,
        pair: Pair,
        coins: Coins,
        random: Random,
        *,
        rank: int,
        chance: float,
        trades_per_hour: float,
        now: int,
    ) -> None:
        """`rank` is 0 for the busiest pair. `chance` is the probability of a change per period."""
        self.pair = pair
        self.chance = chance
        self._coins = coins
        self._random = random
        premium = 1 + random.uniform(-PREMIUM, PREMIUM)
        self._increments_in_one = premium / float(pair.price_increment)
        self._spread = random.uniform(1e-4, 1e-3)
        # The busier a pair, the larger its trades: BTCUSDT reaches its real volume of 20,000 BTC a day, and
        # the volumes of all pairs fall with their rank as the real ones do.
        dollars = 50 + 20_000 / (rank + 1)
        size = dollars / coins.dollars[pair.base] / float(pair.size_increment)
        self._usual_size = max(1.0, size)

        # Grows slower than the clock, so that it keeps growing across restarts of the server.
        self.sequence = now
        self.traded_at = now - random.randrange(OLDEST_TRADE_MS)
        self.quote()
        self.price = self.bid
        self.size = self._some_size()
        walk = Walk(
            (coins.swing[pair.base] + coins.swing[pair.quote]) * 1e-4,
            trades_per_hour * self._usual_size,
            self._usual_size,
        )
        # The same on each exchange, so that a pair has similar past prices on both.
        origin = f"{pair.base}/{pair.quote} {coins.price(pair)}"

        def seed(purpose: str) -> Random:
            return Random(f"{origin} {purpose}")

        hours = list(islice(walk.before(self.price, seed("last day")), HOURS))[::-1]
        self.candles = Candles(hours, self.price, walk, seed, now // 1000)
        self.day = Day(hours)

    def quote(self) -> None:
        """Set bid and ask from the coins' values."""
        fair = self._coins.price(self.pair) * self._increments_in_one
        half = fair * self._spread * self._random.random()
        self.bid = max(1, floor(fair - half))
        self.ask = max(self.bid + 1, ceil(fair + half))
        self.bid_size = self._some_size()
        self.ask_size = self._some_size()
        self.sequence += 1 + int(SEQUENCE_STEP * self._random.random())

    def trade(self, at: int) -> None:
        """Trade at the bid or the ask. The times of trades strictly increase."""
        self.price = self.bid if self._random.random() < 0.5 else self.ask
        self.size = self._some_size()
        self.traded_at = max(at, self.traded_at + 1)
        self.day.trade(self.price, self.size)
        self.candles.trade(self.traded_at // 1000, self.price, self.size)

    def _some_size(self) -> int:
        """Return a random size, mostly small. The mean of a uniform variable's cube is 1/4."""
        return 1 + int(4 * self._usual_size * self._random.random() ** 3)
