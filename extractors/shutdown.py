"""The request to leave, and how long there is left to do it in."""

import time
from math import inf
from threading import Event


class Shutdown:
    """Requested once, by a signal; the process is to end within `limit` seconds then."""

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
        """Return the seconds until the deadline: infinite until the request, never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep, though not beyond the deadline; a request that comes meanwhile ends the sleep."""
        if self.requested.is_set():
            time.sleep(min(seconds, self.seconds_left()))
        else:
            self.requested.wait(seconds)
