"""Follow live crypto prices: a table that is kept up to date, and its changes.

from crypto_prices import Prices

with Prices("http://127.0.0.1:8000", quote="USDT") as prices:
    for change in prices:
        print(change.exchange, change.symbol, change.price)
"""

from crypto_prices.asynchronous import AsyncPrices
from crypto_prices.events import (
    Connected,
    Disconnected,
    Event,
    Interruption,
    PostgresAway,
    PostgresBack,
    Skipped,
    Unreadable,
)
from crypto_prices.price import Price
from crypto_prices.request import RefusedError
from crypto_prices.synchronous import Prices

__all__ = [
    "AsyncPrices",
    "Connected",
    "Disconnected",
    "Event",
    "Interruption",
    "PostgresAway",
    "PostgresBack",
    "Price",
    "Prices",
    "RefusedError",
    "Skipped",
    "Unreadable",
]
