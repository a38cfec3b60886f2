"""Publish a simulated market as a source."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from infra.replay.market.instrument import Instrument
from infra.replay.market.market import Market
from infra.replay.market.schedule import Pace
from infra.replay.source import Source, now_ms
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
        self._update = update
        self._parts = parts

    def serves(self, stream: str) -> bool:
        return self._update([]).serves(stream)

    def greeting(self, stream: str) -> Sequence[str]:
        return self.state().messages(stream)

    def state(self) -> Update:
        return self._update(self._market.instruments)

    async def run(self, subscriptions: Subscriptions) -> NoReturn:
        instruments = [self._market.instruments[part :: self._parts] for part in range(self._parts)]
        while True:
            await subscriptions.present()
            pace = Pace(self._market.period / self._parts)
            while subscriptions:
                for part in instruments:
                    await pace.turn()
                    if not subscriptions:
                        break
                    if changes := self._market.turn(part, now_ms()):
                        subscriptions.publish(self._update(changes))
