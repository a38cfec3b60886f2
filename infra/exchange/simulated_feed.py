"""A market as a feed."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from infra.exchange.feed import Feed, Subscribers, now_ms
from infra.exchange.instrument import Instrument
from infra.exchange.market import Market
from infra.exchange.pace import Pace


class SimulatedFeed(Feed):
    """Never ends. While nobody listens, the market stands still."""

    def __init__(
        self,
        market: Market,
        texts: Callable[[Sequence[Instrument]], Sequence[str]],
        parts: int = 1,
    ) -> None:
        """`texts` makes the frames of the instruments that changed.

        A period has so many parts, and every instrument has its own: so a period lies between two
        frames of an instrument, and the frames are spread evenly over it.
        """
        self._market = market
        self._texts = texts
        self._parts = parts

    def snapshot(self) -> Sequence[str]:
        return self._texts(self._market.instruments)

    async def run(self, subscribers: Subscribers) -> NoReturn:
        instruments = [self._market.instruments[part :: self._parts] for part in range(self._parts)]
        while True:
            await subscribers.present()
            pace = Pace(self._market.period / self._parts)
            while subscribers:
                for part in instruments:
                    await pace.turn()
                    if changes := self._market.turn(part, now_ms()):
                        subscribers.broadcast(self._texts(changes))
