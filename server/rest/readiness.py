"""Decide whether the server's prices are live: from their age, unreadable items and Postgres."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from core.settings import Settings
from server.fields import Exchange, Instant
from server.state.price_table import PriceTable
from server.state.unreadable import Unreadable


class ExchangeReadiness(BaseModel):
    exchange: Exchange
    age_seconds: Annotated[
        float | None,
        Field(description="Since the newest price arrived; null until there is one"),
    ]
    limit_seconds: float
    fresh: Annotated[
        bool, Field(description="The newest price exists and is not older than the limit")
    ]
    unreadable: Annotated[
        Unreadable | None, Field(description="null if the exchange sent nothing in the last minute")
    ]
    readable: Annotated[
        bool, Field(description="At least half of the last minute's items could be read")
    ]


class Readiness(BaseModel):
    ready: Annotated[
        bool, Field(description="Postgres is available, and every exchange is fresh and readable")
    ]
    database_away_since: Annotated[
        Instant | None, Field(description="null while Postgres is available")
    ]
    exchanges: list[ExchangeReadiness]


def age_limits(settings: Settings) -> dict[Exchange, float]:
    """Return the maximum age of the newest price of each exchange, in seconds."""
    return {name: exchange.price_age_limit for name, exchange in settings.exchanges.items()}


def newest_price_age(prices: PriceTable | None, exchange: str, now: datetime) -> float | None:
    """Return the age in seconds, or None without a price."""
    if prices is None:
        return None
    newest = prices.newest_received(exchange)
    return None if newest is None else round((now - newest).total_seconds(), 3)


def readiness(
    prices: PriceTable | None,
    unreadable: Mapping[str, Unreadable],
    database_away_since: datetime | None,
    limits: Mapping[Exchange, float],
    now: datetime,
) -> Readiness:
    exchanges = []
    for exchange, limit in limits.items():
        age = newest_price_age(prices, exchange, now)
        found = unreadable.get(exchange)
        exchanges.append(
            ExchangeReadiness(
                exchange=exchange,
                age_seconds=age,
                limit_seconds=limit,
                fresh=age is not None and age <= limit,
                unreadable=found,
                readable=found is None or not found.is_mostly_unreadable,
            )
        )
    return Readiness(
        ready=database_away_since is None
        and all(each.fresh and each.readable for each in exchanges),
        database_away_since=database_away_since,
        exchanges=exchanges,
    )
