"""The time limits of an exchange, in seconds; shorter ones spare a test the wait."""

import math
from dataclasses import asdict, dataclass

DAY = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """After its lifetime the exchange closes a connection."""

    connection_lifetime: float = DAY

    def __post_init__(self) -> None:
        """Raises ValueError that names the limit and its value."""
        for name, seconds in asdict(self).items():
            if not isinstance(seconds, bool) and not 0 < seconds < math.inf:
                kind = type(self).__name__
                raise ValueError(f"{kind}: {name} of {seconds} s: expected above 0")


@dataclass(frozen=True, kw_only=True)
class BinanceLimits(Limits):
    ping_interval: float = 20.0
    pong_timeout: float = 60.0


@dataclass(frozen=True, kw_only=True)
class KucoinLimits(Limits):
    """A client that sends no text for the silence timeout is closed. The ping interval and timeout
    are what a client is told. `tokens_once`: a token opens one connection, and then no other.
    """

    ping_interval: float = 18.0
    ping_timeout: float = 10.0
    silence_timeout: float = 60.0
    token_lifetime: float = DAY
    tokens_once: bool = False
