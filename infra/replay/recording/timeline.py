"""Compute the times at which recorded frames are due."""

import asyncio

from infra.replay.streams import Subscriptions


class Timeline:
    """One timeline for all feeds of a recording, so that their frames stay synchronised.

    It begins when one of the feeds has a subscriber. Then it continues, even without subscribers.
    """

    def __init__(self, origin: int, speed: float) -> None:
        """Begin at `origin` (microseconds since the epoch). `speed` is a multiple of real time."""
        self._origin = origin
        self._microseconds_per_second = 1e6 * speed
        self._begun = asyncio.Event()
        self._began_at = 0.0

    async def begin(self, subscriptions: Subscriptions) -> None:
        """Wait until this feed or another has a subscription."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._begin_when_present(subscriptions))
            await self._begun.wait()
            listening.cancel()

    async def _begin_when_present(self, subscriptions: Subscriptions) -> None:
        await subscriptions.present()
        if not self._begun.is_set():
            self._began_at = asyncio.get_running_loop().time()
            self._begun.set()

    def due(self, received_at: int) -> float:
        """Return when a frame is due, on the clock of the event loop."""
        return self._began_at + (received_at - self._origin) / self._microseconds_per_second
