"""Test which connections a fault affects, and the lifetime of connections and tokens."""

import json
import time

import pytest
import requests
from websockets.exceptions import (
    ConnectionClosedOK,
    InvalidStatus,
)
from websockets.sync.client import connect

from infra.replay.faults.faults import (
    Drop,
)
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from tests.support.ledger import Ledger
from tests.support.replay_exchange import clear, inflict, kucoin_url, running
from tests.support.small_exchange import (
    exchanges,
    identities,
    is_data,
    subscribed,
    text_of,
    until_the_end,
)
from tests.support.waiting import DEADLINE


def test_a_token_that_works_once_is_invalid_the_second_time() -> None:
    with running(*exchanges(Ledger(), kucoin=KucoinLimits(tokens_once=True))) as address:
        url = kucoin_url(address)
        with connect(url) as client:
            assert json.loads(text_of(client))["type"] == "welcome"
            with pytest.raises(InvalidStatus) as refused, connect(url):
                pass
        assert refused.value.response.status_code == 401
        with subscribed(address, "kucoin") as client:
            assert is_data("kucoin", text_of(client))


@pytest.mark.long
def test_a_connection_is_closed_at_the_end_of_its_lifetime_and_limits_are_reported() -> None:
    ledger = Ledger(texts=False)
    limits = (
        BinanceLimits(connection_lifetime=0.2),
        # Long enough for a subscription.
        KucoinLimits(connection_lifetime=3.0, ping_interval=0.25, ping_timeout=0.125),
    )
    with running(*exchanges(ledger, *limits)) as address:
        for exchange, lifetime in (("binance", 0.2), ("kucoin", 3.0)):
            began = time.monotonic()
            with subscribed(address, exchange) as client:
                texts, closed = until_the_end(client)
            assert time.monotonic() - began > lifetime
            assert isinstance(closed, ConnectionClosedOK)
            [written] = ledger.connections(exchange)
            assert (written.ending, written.reason) == ("closed", "connection lifetime")
            assert len(written.frames) == len(texts)
        bullet = requests.post(f"http://{address}/api/v1/bullet-public", timeout=DEADLINE).json()
    [server] = bullet["data"]["instanceServers"]
    assert (server["pingInterval"], server["pingTimeout"]) == (250, 125)
    # The ledger drops the texts, but keeps the identities.
    last = json.loads(texts[-1])
    assert written.frames[-1].text is None
    assert identities(written)[-1] == (last["subject"], int(last["data"]["sequence"]))


def test_faults_of_one_kind_wait_in_a_queue_and_the_connection_after_has_none(
    address: str,
) -> None:
    for frames in (2, 4):
        inflict(address, "kucoin", Drop(after_frames=frames))
    for frames in (2, 4):
        with subscribed(address, "kucoin") as client:
            assert len(until_the_end(client)[0]) == frames
    with subscribed(address, "kucoin") as client:
        assert all(is_data("kucoin", text_of(client)) for _ in range(30))


def test_every_connection_suffers_until_the_fault_is_cleared(address: str) -> None:
    inflict(address, "binance", Drop(after_frames=1), "every")
    for _ in range(3):
        with subscribed(address, "binance") as client:
            assert len(until_the_end(client)[0]) == 1
    clear(address, "binance")
    with subscribed(address, "binance") as client:
        assert all(is_data("binance", text_of(client)) for _ in range(5))


def test_only_the_open_connections_of_one_exchange_suffer(address: str) -> None:
    with (
        subscribed(address, "kucoin") as kucoin,
        subscribed(address, "binance") as one,
        subscribed(address, "binance") as two,
    ):
        inflict(address, "binance", Drop(), "open")
        until_the_end(one)
        until_the_end(two)
        with subscribed(address, "binance") as later:
            assert is_data("binance", text_of(later))
        assert is_data("kucoin", text_of(kucoin))
