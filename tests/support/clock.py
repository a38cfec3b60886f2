"""Provide a clock that tests advance."""


class Clock:
    """Monotonic clock in seconds. It advances only when a test sets `now`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
