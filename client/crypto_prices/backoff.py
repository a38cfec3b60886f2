"""Wait between attempts to connect: longer after each failure, at random, so that clients spread out."""

import random

FIRST, LONGEST = 0.5, 10.0
"""Limit of the first wait, and the largest limit, in seconds. A wait is half of its limit to all of it."""


class Backoff:
    def __init__(self) -> None:
        self._next = FIRST

    def reset(self) -> None:
        """Start again with the first wait. Call it after a message."""
        self._next = FIRST

    def wait(self) -> float:
        """Return the seconds to wait."""
        longest, self._next = self._next, min(2 * self._next, LONGEST)
        return longest * random.uniform(0.5, 1)
