"""Count the use of quotas such as requests per address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quota:
    """Up to `amount` in `seconds`."""

    amount: int
    seconds: float


@dataclass
class Window:
    began: float
    used: int = 0


class Meter:
    """Use of a quota per key, such as an address. Times are seconds and are passed in.

    A key's window begins with its first use. The next window begins with the first use after its end.
    """

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._windows: dict[str, Window] = {}

    def spend(self, key: str, amount: int, now: float) -> float:
        """Return 0 if the quota allows it, else the seconds until the window ends."""
        window = self._window(key, now)
        window.used += amount
        if window.used <= self.quota.amount:
            return 0.0
        return self.left(key, now)

    def used(self, key: str, now: float) -> int:
        return self._window(key, now).used

    def left(self, key: str, now: float) -> float:
        """Return the seconds until the window ends."""
        return self._window(key, now).began + self.quota.seconds - now

    def _window(self, key: str, now: float) -> Window:
        window = self._windows.get(key)
        if window is None or now >= window.began + self.quota.seconds:
            self._forget_ended(now)
            window = self._windows[key] = Window(now)
        return window

    def _forget_ended(self, now: float) -> None:
        self._windows = {
            key: window
            for key, window in self._windows.items()
            if now < window.began + self.quota.seconds
        }
