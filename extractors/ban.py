"""Until when an exchange wants no request from us."""

import time
from collections.abc import Callable
from threading import Lock


class Ban:
    """The end of the longest pause that was demanded, for all threads of a process.

    Whoever goes on asking is banned for longer: Binance answers 429, then 418 for two minutes to three
    days (rest-api.md, IP limits). Requests of every kind count. `clock` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock()
        self._lock = Lock()

    def left(self) -> float:
        """Return the seconds that the ban still lasts, 0 if there is none."""
        return max(0.0, self._until - self._clock())

    def extend(self, seconds: float) -> None:
        """Begin a ban of so many seconds. One that lasts longer stays as it is."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)
