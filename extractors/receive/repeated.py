"""Repeat a step in a thread until a stop, with longer pauses while it fails."""

import logging
from collections.abc import Callable
from threading import Event

from exchanges.exchange import ExchangeError

log = logging.getLogger(__name__)

RETRY_INTERVAL = 2.0
"""Seconds from the first failure to the next attempt; doubled with every failure."""

LONGEST_RETRY_INTERVAL = 60.0


def repeat(step: Callable[[], float], stop: Event, failed: str) -> None:
    """Run the step again and again until `stop` is set. The step returns the seconds until its next run.

    An error is logged as `failed`, and the step is retried after a pause, which is at least the one that
    the exchange demands.
    """
    failures = 0
    pause = 0.0
    while not stop.wait(pause):
        try:
            pause = step()
            failures = 0
        except Exception as error:
            failures += 1
            pause = retry_pause(failures)
            if isinstance(error, ExchangeError):
                pause = max(pause, error.retry_after)
            log.warning(
                "%s reason=%r retry_in=%g",
                failed,
                str(error) or repr(error),
                pause,
                # Any other error is a bug: log its traceback.
                exc_info=not isinstance(error, (ExchangeError, OSError, ValueError)),
            )


def retry_pause(failures: int) -> float:
    """Return the seconds to the next attempt after a number of failures in a row."""
    return min(RETRY_INTERVAL * 2.0 ** min(failures - 1, 10), LONGEST_RETRY_INTERVAL)
