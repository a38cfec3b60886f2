"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until(is_true: Callable[[], bool], *, deadline: float) -> bool:
    """Poll until `is_true`. Return False if it is still false after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
