"""The request to leave, and how long there is left to do it in."""

import time
from math import inf
from threading import Event


class Stop:
    """Requested once, by a signal; the process is then to be gone within `limit` seconds."""

    def __init__(self, limit: float) -> None:
        self.requested = Event()
        self._limit = limit
        self._deadline = inf

    def request(self) -> None:
        """For a signal handler: a second signal may come while this one is being answered."""
        if self._deadline == inf:
            self._deadline = time.monotonic() + self._limit
            self.requested.set()

    def seconds_left(self) -> float:
        """Infinite until the request, never negative."""
        return max(0.0, self._deadline - time.monotonic())
