"""Hold the request to shut down, and the time left until its deadline."""

import time
from math import inf
from threading import Event


class Shutdown:
    """Request to shut down. All deliveries must end within `limit` seconds of it."""

    def __init__(self, limit: float) -> None:
        self.requested = Event()
        self._limit = limit
        self._deadline = inf

    def request(self) -> None:
        """Request the shutdown. A signal handler may call it, even while it interrupts another request().

        The main thread must not wait for `requested` or call pause(): the handler could deadlock on the
        event's lock.
        """
        if self._deadline == inf:
            self._deadline = time.monotonic() + self._limit
            self.requested.set()

    def seconds_left(self) -> float:
        """Return the seconds until the deadline: infinite until the request, never negative."""
        return max(0.0, self._deadline - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep, but not past the deadline. A request during the sleep ends it."""
        if self.requested.is_set():
            time.sleep(min(seconds, self.seconds_left()))
        else:
            self.requested.wait(seconds)
