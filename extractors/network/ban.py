"""Remember until when this process must not send requests to an exchange."""

import time
from collections.abc import Callable
from threading import Lock


class Ban:
    """End of the longest pause that the exchange demanded, shared by all threads of the process.

    A client that keeps asking is banned for longer: Binance answers 429, then 418 for two minutes to
    three days (rest-api.md, IP limits). Every kind of request counts. `clock` is monotonic, in seconds.
    For `reset_header` see Exchange.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, reset_header: str = ""
    ) -> None:
        self.reset_header = reset_header
        self._clock = clock
        self._until = clock()
        self._lock = Lock()

    def left(self) -> float:
        """Return the remaining seconds of the ban (0 if none)."""
        return max(0.0, self._until - self._clock())

    def extend(self, seconds: float) -> None:
        """Ban requests for `seconds` from now, unless the current ban ends later."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)
