"""Queue notices for the journal's thread, in order of arrival."""

from collections.abc import Sequence
from threading import Condition

from extractors.receive.notices import Notice


class Backlog:
    """Bounded queue; each put and each take moves many notices.

    Waking a thread costs more than reading a frame, so a reader takes all waiting notices.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the number of notices at which put() blocks."""
        self._limit = limit
        self._notices: list[Notice] = []
        self._changed = Condition()

    def __len__(self) -> int:
        return len(self._notices)

    @property
    def is_full(self) -> bool:
        return len(self._notices) >= self._limit

    def put(self, notices: Sequence[Notice]) -> None:
        """Append the notices together. Block while the backlog is full."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_full)
            self._notices += notices
            self._changed.notify_all()

    def take(self, timeout: float) -> list[Notice]:
        """Return all waiting notices. If there are none, block for up to `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._notices), timeout)
            notices, self._notices = self._notices, []
            self._changed.notify_all()
        return notices
