"""Schedule Binance's pings, and detect clients that do not answer them."""


class Heartbeat:
    """Pings of one connection, and the pongs that answer them.

    Times are in seconds of the caller's clock. A pong counts only if it repeats a ping's payload.
    """

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._next_ping = now + interval
        self._unanswered: dict[bytes, float] = {}

    def due(self) -> float:
        """Return the time of the next ping or timeout, whichever is first."""
        return min([self._next_ping, *(sent + self._timeout for sent in self._unanswered.values())])

    def is_lost(self, now: float) -> bool:
        return any(now >= sent + self._timeout for sent in self._unanswered.values())

    def ping(self, payload: bytes, now: float) -> None:
        self._unanswered[payload] = now
        # Count from now, not from the due time: after a late ping, the next could follow within the same
        # millisecond and have the same payload.
        self._next_ping = now + self._interval

    def pong(self, payload: bytes) -> bool:
        """Return whether the pong answers a ping. If so, it also answers all earlier pings."""
        if payload not in self._unanswered:
            return False
        answered = self._unanswered[payload]
        self._unanswered = {
            later: sent for later, sent in self._unanswered.items() if sent > answered
        }
        return True
