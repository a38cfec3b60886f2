"""The source of an exchange's data: a simulation or a recording, the same for every client."""

import time
from collections.abc import Sequence
from typing import Protocol

from infra.replay.streams import Subscriptions, Update


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Feed(Protocol):
    """The data of one exchange, simulated or recorded."""

    def serves(self, stream: str) -> bool:
        """Return whether the feed has data for streams of this kind."""

    def greeting(self, stream: str) -> Sequence[str]:
        """Return the texts that a new subscriber of a stream receives first."""

    def state(self) -> Update:
        """Return the newest ticker of each symbol, as it was sent last."""

    async def run(self, subscriptions: Subscriptions) -> None:
        """Publish tickers, each at its time, until there are no more."""
