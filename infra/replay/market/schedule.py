"""Turns on a schedule: the next one is due an interval after the last was due, not after it ran."""

import asyncio

# After a longer stand-still the turns that were missed are left out, not made up for.
LARGEST_LAG = 1.0


class Pace:
    """The first turn is due at once."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._clock = asyncio.get_running_loop().time
        self._due = self._clock()

    async def turn(self) -> None:
        """Wait until the next turn is due; a turn that is late comes at once."""
        # Even a wait of nothing lets the other tasks run.
        await asyncio.sleep(max(0.0, self._due - self._clock()))
        self._due = max(self._due, self._clock() - LARGEST_LAG) + self._interval
