"""Limit the silence on a connection. The limit grows on a slow link, where a large message takes minutes.

A message is seen only when all of it has arrived. Until then a slow link looks like a lost connection.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SILENCE_LIMIT = 15.0
"""Seconds without a message after which a connection counts as lost. The server sends one every 5 s."""

LONGEST = 240.0
"""Seconds that the limit may grow to."""


class Silence:
    """The limit for the next message, over all connections of a client."""

    def __init__(self) -> None:
        self._limit = SILENCE_LIMIT

    @contextmanager
    def wait(self) -> Iterator[float]:
        """Yield the timeout of the next message, in seconds. Wait for the message within the context."""
        began = time.monotonic()
        try:
            yield self._limit
        finally:
            self._limit = next_limit(time.monotonic() - began)


def next_limit(waited: float) -> float:
    """Return twice the time waited, but at least SILENCE_LIMIT and at most LONGEST.

    So a timeout doubles the limit. After a message that took long, the next one may take twice as long: it
    has everything that changed meanwhile.
    """
    return min(max(2 * waited, SILENCE_LIMIT), LONGEST)
