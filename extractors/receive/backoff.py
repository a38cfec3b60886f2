"""Compute the pause before the next attempt to connect."""

import random
from collections.abc import Callable

FIRST_CEILING = 1.0
LAST_CEILING = 30.0
HEALTHY_AFTER = 60.0
"""Seconds of flowing data after which earlier failures are forgotten."""

_DOUBLINGS = 5  # from the first ceiling to beyond the last


class Backoff:
    """Exponential backoff with full jitter and any number of attempts.

    `interval` is the exchange's limit: minimum seconds from one attempt to the next.
    `uniform` returns a random number between two bounds.
    """

    def __init__(
        self, interval: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._interval = interval
        self._uniform = uniform
        self._failures = 0

    def pause(
        self, since_attempt: float, healthy_for: float, *, at_once: bool, demanded: float
    ) -> float:
        """Return the seconds to wait after a connection, or an attempt to connect, has ended.

        `since_attempt` is how long ago it began, `healthy_for` how long data flowed, `demanded`
        the pause that the exchange demanded; all in seconds. `at_once` skips the random pause on the
        first failure after a healthy connection; rate limits still apply.
        """
        self._forget_failures(healthy_for)
        ceiling = min(LAST_CEILING, FIRST_CEILING * 2 ** min(self._failures, _DOUBLINGS))
        if at_once and not self._failures:
            ceiling = 0.0
        self._failures += 1
        return max(self._uniform(0.0, ceiling), self._interval - since_attempt, demanded)

    def pause_of_rotation(self, since_attempt: float, healthy_for: float) -> float:
        """Return the seconds to wait before the successor of a connection that works."""
        self._forget_failures(healthy_for)
        return max(0.0, self._interval - since_attempt)

    def _forget_failures(self, healthy_for: float) -> None:
        if healthy_for >= HEALTHY_AFTER:
            self._failures = 0
