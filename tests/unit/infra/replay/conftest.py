"""Provide a replay exchange for the tests of its faults."""

from collections.abc import Iterator

import pytest

from infra.replay.faults.limits import BinanceLimits
from tests.support.ledger import Ledger
from tests.support.replay_exchange import clear, running
from tests.support.small_exchange import EXCHANGES, exchanges, is_data, subscribed, text_of


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="module")
def server(ledger: Ledger) -> Iterator[str]:
    with running(*exchanges(ledger, BinanceLimits(ping_interval=0.1))) as address:
        yield address


@pytest.fixture
def address(server: str) -> Iterator[str]:
    yield server
    for exchange in EXCHANGES:
        clear(server, exchange)
        with subscribed(server, exchange) as client:
            # Whatever happened to earlier connections, the next one is served.
            assert is_data(exchange, text_of(client))
