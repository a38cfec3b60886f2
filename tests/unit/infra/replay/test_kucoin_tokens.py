"""Test how KuCoin's tokens are issued, and which connections they open."""

from collections.abc import Iterator

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from infra.replay.faults.limits import KucoinLimits
from infra.replay.kucoin.tokens import Tokens
from tests.support.ledger import Ledger
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import exchanges
from tests.support.waiting import DEADLINE


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(*exchanges(Ledger())) as address:
        yield address


def test_bullet_public_returns_a_token_and_an_endpoint_on_the_requested_host(
    address: str,
) -> None:
    port = address.rpartition(":")[2]
    answer = requests.post(f"http://localhost:{port}/api/v1/bullet-public", timeout=DEADLINE).json()
    assert answer["code"] == "200000"
    assert answer["data"]["instanceServers"] == [
        {
            "endpoint": f"ws://localhost:{port}/",
            "encrypt": False,
            "protocol": "websocket",
            "pingInterval": 18000,
            "pingTimeout": 10000,
        }
    ]
    assert len(answer["data"]["token"]) > 150


def test_every_request_gets_a_token_of_its_own(address: str) -> None:
    assert kucoin_url(address) != kucoin_url(address)


@pytest.mark.parametrize("query", ["", "?token=", "?token=invented"])
def test_a_handshake_without_a_valid_token_is_refused_with_401(address: str, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}/{query}"):
        pass
    assert refused.value.response.status_code == 401
    assert b"token is invalid" in (refused.value.response.body or b"")


def test_a_token_that_expired_is_refused_with_401() -> None:
    with running(*exchanges(Ledger(), kucoin=KucoinLimits(token_lifetime=1e-9))) as address:
        with pytest.raises(InvalidStatus) as refused, connect(kucoin_url(address)):
            pass
        assert refused.value.response.status_code == 401
        assert b"token is expired" in (refused.value.response.body or b"")


def test_a_token_is_good_for_its_lifetime_and_for_any_number_of_connections() -> None:
    tokens = Tokens(lifetime=10, once=False)
    token = tokens.issue(now=100)
    assert [tokens.use(token, now) for now in (100, 109)] == [None, None]
    assert tokens.use(token, now=110) == "token is expired"
