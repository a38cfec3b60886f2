"""Publish a simulated market as a source."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from infra.replay.market.instrument import Instrument
from infra.replay.market.market import Market
from infra.replay.market.schedule import Pace
from infra.replay.source import PricedCandle, Source, now_ms
from infra.replay.streams import Subscriptions, Update


class SimulatedSource(Source):
    """Never ends. Without subscriptions the market is paused."""

    def __init__(
        self,
        market: Market,
        update: Callable[[Sequence[Instrument]], Update],
        parts: int = 1,
    ) -> None:
        """`update` formats changed instruments as the exchange does.

        A period has `parts` parts, and every instrument belongs to one part. So frames of an
        instrument are at least a period apart, and frames are spread evenly over the period.
        """
        self._market = market
        self._instruments = {each.pair.symbol: each for each in market.instruments}
        self._update = update
        self._parts = parts

    def serves(self, stream: str) -> bool:
        return self._update([]).serves(stream)

    def greeting(self, stream: str) -> Sequence[str]:
        return self.state().messages(stream)

    def candles(self, symbol: str, interval: str, start: int, end: int) -> Sequence[PricedCandle]:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            return ()
        price, size = instrument.pair.price_increment, instrument.pair.size_increment
        return [
            PricedCandle(
                each.start,
                each.open * price,
                each.high * price,
                each.low * price,
                each.close * price,
                each.base_volume * size,
                each.quote_volume * price * size,
                each.trades,
            )
            for each in instrument.candles.of(interval, start, end, now_ms() // 1000)
        ]

    def state(self) -> Update:
        return self._update(self._market.instruments)

    async def run(self, subscriptions: Subscriptions) -> NoReturn:
        parts = [self._market.instruments[first :: self._parts] for first in range(self._parts)]
        while True:
            await subscriptions.present()
            pace = Pace(self._market.period / self._parts)
            while subscriptions:
                for part in parts:
                    await pace.turn()
                    if not subscriptions:
                        break
                    if changes := self._market.turn(part, now_ms()):
                        subscriptions.publish(self._update(changes))
