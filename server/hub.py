"""Where the readings of the database become the streams of the clients."""

import asyncio
from collections.abc import AsyncIterator

from server.live_prices import LivePrices, Reading


class Hub:
    """The newest prices, and whoever waits for newer ones. It lives on the event loop's thread.

    There is no queue. Each client says by taking its next message that it is ready for it, and
    gets what changed since its last one. So a slow client misses versions and no symbols, holds
    one message in memory, and slows nobody.
    """

    def __init__(self) -> None:
        self.prices: LivePrices | None = None
        """None until the database was read for the first time."""
        self._closed = False
        self._news = asyncio.Event()

    def publish(self, reading: Reading) -> None:
        if self.prices is None or reading.previous is None:
            self.prices = LivePrices(reading)
        else:
            self.prices.advance(reading)
        self._wake()

    def close(self) -> None:
        """Every stream of messages ends."""
        self._closed = True
        self._wake()

    async def messages(self) -> AsyncIterator[str]:
        """A snapshot, then what changed after each batch; a snapshot again if all was read anew.

        Without gap: `previous` of each message is the `id` of the one before.
        """
        told: LivePrices | None = None
        sent = 0
        while not self._closed:
            prices = self.prices
            if prices is None or (prices is told and prices.id == sent):
                await self._news.wait()
                continue
            message = prices.changes_since(sent) if prices is told else prices.snapshot()
            told, sent = prices, prices.id
            yield message

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
