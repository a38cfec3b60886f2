"""A clock that a test moves."""


class Clock:
    """Monotonic, in seconds; it stands still by itself."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
