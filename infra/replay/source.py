"""Define the interface of an exchange's data source, which is a simulation or a recording.

Every client receives the same data.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from infra.replay.streams import Subscriptions, Update


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Source(Protocol):
    """The data of one exchange, simulated or recorded."""

    def serves(self, stream: str) -> bool:
        """Return whether the feed has data for this kind of stream."""

    def greeting(self, stream: str) -> Sequence[str]:
        """Return the texts to send first to a new subscriber of a stream."""

    def state(self) -> Update:
        """Return the last ticker sent for each symbol."""

    async def run(self, subscriptions: Subscriptions) -> None:
        """Publish each ticker when it is due, until there are no more."""
