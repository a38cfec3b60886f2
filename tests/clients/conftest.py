"""Start a replay exchange with the limits of the real exchanges for each module."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from infra.replay.faults.limits import BINANCE_QUOTAS, KUCOIN_QUOTAS, BinanceLimits, KucoinLimits
from infra.replay.server import Simulation
from tests.clients.sent import canonical, items_sent
from tests.support.ledger import Ledger
from tests.support.replay_exchange import running
from tests.support.waiting import DEADLINE


@dataclass
class Exchange:
    address: str
    ledger: Ledger

    def get(self, path: str) -> Any:
        """Return an answer of the REST interface. Prices do not change while nobody subscribes."""
        return requests.get(f"http://{self.address}{path}", timeout=DEADLINE).json()

    def assert_sent(self, exchange: str, *items: object) -> None:
        """Raise AssertionError for an object that the exchange did not send in this form."""
        sent = items_sent(self.ledger, exchange)
        for item in items:
            assert canonical(item) in sent, f"not sent: {item}"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    ledger = Ledger()
    simulation = Simulation(
        kucoin_rate=500,
        binance=BinanceLimits(quotas=BINANCE_QUOTAS),
        kucoin=KucoinLimits(quotas=KUCOIN_QUOTAS),
    )
    with running(*simulation.exchanges(ledger)) as address:
        yield Exchange(address, ledger)


@pytest.fixture(scope="module")
def binance_before(exchange: Exchange) -> dict[str, dict[str, Any]]:
    """Prices of Binance by symbol, before the program runs. They do not change until it subscribes."""
    return {each["symbol"]: each for each in exchange.get("/api/v3/ticker/24hr")}
