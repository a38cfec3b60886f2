"""Define the limits of the exchanges: times in seconds, and quotas on connections and requests."""

import math
from dataclasses import dataclass, fields

from infra.replay.faults.rates import Quota

DAY = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds; tests shorten them. A connection is closed after `connection_lifetime`."""

    connection_lifetime: float = DAY

    def __post_init__(self) -> None:
        """Raise ValueError that names the limit and its value."""
        for limit in fields(self):
            seconds = getattr(self, limit.name)
            if limit.type is float and not 0 < seconds < math.inf:
                kind = type(self).__name__
                raise ValueError(
                    f"{kind}: {limit.name} of {seconds} s: expected a finite number above 0"
                )


@dataclass(frozen=True, kw_only=True)
class Quotas:
    connections: Quota
    """New connections per address."""

    messages: Quota
    """Messages that a client sends per connection."""

    weight: Quota
    """Weight of REST requests per address."""


# Quota(amount, seconds), as the exchanges document them.
BINANCE_QUOTAS = Quotas(connections=Quota(300, 300), messages=Quota(5, 1), weight=Quota(6000, 60))
KUCOIN_QUOTAS = Quotas(connections=Quota(30, 60), messages=Quota(100, 10), weight=Quota(2000, 30))


@dataclass(frozen=True, kw_only=True)
class BinanceLimits(Limits):
    """By default no rate is limited, because tests let time pass faster."""

    ping_interval: float = 20.0
    pong_timeout: float = 60.0
    quotas: Quotas | None = None


@dataclass(frozen=True, kw_only=True)
class KucoinLimits(Limits):
    """A connection is closed if the client sends no text for `silence_timeout`. `ping_interval` and
    `ping_timeout` are announced to clients. `tokens_once`: a token opens one connection only.
    By default no rate is limited, because tests let time pass faster.
    """

    ping_interval: float = 18.0
    ping_timeout: float = 10.0
    silence_timeout: float = 60.0
    token_lifetime: float = DAY
    tokens_once: bool = False
    quotas: Quotas | None = None
