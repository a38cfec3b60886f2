"""Run turns on a fixed schedule: each is due one interval after the previous due time."""

import asyncio

LARGEST_LAG = 1.0
"""Maximum lag in seconds. Turns that are missed by more are skipped, not made up for."""


class Pace:
    """The first turn is due immediately."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()

    async def turn(self) -> None:
        """Wait until the next turn is due. Return immediately if it is late."""
        # sleep(0) still lets other tasks run.
        await asyncio.sleep(max(0.0, self._due - self._clock()))
        self._due = max(self._due, self._clock() - LARGEST_LAG) + self._interval
