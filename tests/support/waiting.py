"""Poll a value until it is as expected. Tests poll only through this module, except in coroutines."""

import time
from collections.abc import Callable
from typing import TypeVar

DEADLINE = 60.0
"""Seconds. Generous, as only a failing wait takes this long."""

PAUSE = 0.02
"""Seconds between two reads."""

READING = 0.2
"""Maximum share of the time that is spent on reading. All tests share two cores."""

LONGEST_SHOWN = 20_000

Value = TypeVar("Value")


def wait_for(
    read: Callable[[], Value],
    is_expected: Callable[[Value], object] = bool,
    *,
    deadline: float = DEADLINE,
    pause: float = PAUSE,
) -> Value:
    """Return the first value that is as expected. With `pause=0`, a read is repeated at once.

    Raise AssertionError with the last value once the deadline, in seconds, has passed.
    """
    end = time.monotonic() + deadline
    while True:
        began = time.monotonic()
        value = read()
        if is_expected(value):
            return value
        ended = time.monotonic()
        if ended > end:
            raise AssertionError(f"not as expected after {deadline:g} s, but: {shown(value)}")
        if pause:
            time.sleep(max(pause, (ended - began) * (1 / READING - 1)))


def shown(value: object) -> str:
    """Return the value as text for a failed test; of a long text, such as a log, only the end."""
    text = value if isinstance(value, str) else repr(value)
    return text[-LONGEST_SHOWN:]


def pass_time(seconds: float) -> None:
    """Wait for a time that is itself the input of a test, such as the length of an outage."""
    time.sleep(seconds)
