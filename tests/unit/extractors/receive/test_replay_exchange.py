"""Test against the replay exchange: symbol lists are read, and limits are obeyed."""

import pytest

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from extractors.receive.notices import Ended
from infra.replay.faults.faults import RefuseSubscription
from infra.replay.faults.limits import BinanceLimits, KucoinLimits, Quotas
from infra.replay.faults.rates import Quota
from infra.replay.server import Simulation
from tests.support.exchange_clients import binance_client, kucoin_client, listening, next_of
from tests.support.replay_exchange import inflict, running

pytestmark = [pytest.mark.independent, pytest.mark.long]

ENOUGH = Quota(1_000_000, 60)
PERMITTED = {"binance": 10, "kucoin": 5}
"""Connections in 10 s, at the exchanges' own rates: 300 connections in 300 s, and 30 in 60 s."""


def quotas(connections: Quota) -> Quotas:
    return Quotas(connections=connections, messages=ENOUGH, weight=ENOUGH)


SIMULATION = Simulation(
    binance_symbols=1,
    binance=BinanceLimits(quotas=quotas(Quota(PERMITTED["binance"], 10))),
    kucoin=KucoinLimits(quotas=quotas(Quota(PERMITTED["kucoin"], 10))),
)


@pytest.mark.parametrize("exchange", ["binance", "kucoin"])
def test_attempts_that_fail_at_once_are_repeated_no_faster_than_the_exchange_allows(
    exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the random pauses only the limit remains.
    monkeypatch.setattr("extractors.receive.backoff.FIRST_CEILING", 0.0)
    with running(*SIMULATION.exchanges()) as address:
        inflict(address, exchange, RefuseSubscription(code=500), "every")
        if exchange == "binance":
            client = binance_client(f"ws://{address}")
            client.connect_interval = BINANCE.connect_interval
        else:
            client = kucoin_client(f"http://{address}")
            client.connect_interval = KUCOIN.connect_interval
        with listening(client) as notices:
            causes = {next_of(notices, Ended).cause for _ in range(PERMITTED[exchange] + 2)}
    assert causes == {"error_500"}


def test_the_symbol_lists_of_both_exchanges_are_read_whole() -> None:
    with running(*SIMULATION.exchanges()) as address:
        binance = binance_client(rest_url=f"http://{address}").symbol_list()
        kucoin = kucoin_client(f"http://{address}").symbol_list()
    assert (len(binance.instruments), binance.unread) == (3651, frozenset())
    assert (len(kucoin.instruments), kucoin.unread) == (634, frozenset())
