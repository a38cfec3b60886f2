"""A clock that a test moves."""


class Clock:
    """Monotonic, in seconds; it does not advance by itself."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
