"""Test the quotas on connections, requests and messages, and the answers when they are exceeded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from infra.replay.faults.limits import (
    BINANCE_QUOTAS,
    KUCOIN_QUOTAS,
    BinanceLimits,
    KucoinLimits,
    Quotas,
)
from infra.replay.faults.rates import Meter, Quota
from tests.support.ledger import Ledger
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import STREAM, SUBSCRIBE, exchanges, is_data, text_of, texts
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long

SMALL = Quotas(connections=Quota(2, 60), messages=Quota(3, 60), weight=Quota(25, 60))


@contextmanager
def small_exchange() -> Iterator[str]:
    """Run an exchange that allows 2 connections, 3 messages and a weight of 25 per minute."""
    limits = BinanceLimits(quotas=SMALL), KucoinLimits(quotas=SMALL)
    with running(*exchanges(Ledger(), *limits)) as address:
        yield address


def test_the_quotas_are_those_of_the_exchanges() -> None:
    assert BINANCE_QUOTAS.connections == Quota(300, 300)
    assert BINANCE_QUOTAS.messages == Quota(5, 1)
    assert BINANCE_QUOTAS.weight == Quota(6000, 60)
    assert KUCOIN_QUOTAS.connections == Quota(30, 60)
    assert KUCOIN_QUOTAS.messages == Quota(100, 10)
    assert KUCOIN_QUOTAS.weight == Quota(2000, 30)


def test_a_window_begins_with_the_first_use_and_says_when_it_ends() -> None:
    meter = Meter(Quota(10, 60))
    assert meter.spend("a", 6, now=100) == 0
    assert meter.spend("a", 4, now=130) == 0
    assert meter.spend("a", 1, now=130) == 30
    assert meter.spend("b", 1, now=130) == 0
    assert meter.used("a", now=159) == 11
    assert meter.spend("a", 10, now=160) == 0
    assert meter.left("a", now=161) == 59


def test_binance_refuses_a_connection_too_many_at_the_handshake() -> None:
    with small_exchange() as address:
        for _ in range(2):
            with connect(f"ws://{address}{STREAM}") as client:
                text_of(client)
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}{STREAM}"):
            pass
    response = refused.value.response
    assert response.status_code == 429
    assert json.loads(response.body or b"")["code"] == -1003
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_binance_closes_a_connection_that_sends_too_much() -> None:
    with small_exchange() as address, connect(f"ws://{address}/ws") as client:
        for number in range(3):
            client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
            assert json.loads(text_of(client)) == {"result": [], "id": number}
        client.ping()
        with pytest.raises(ConnectionClosedError) as closed:
            text_of(client)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Too many requests")


def test_pongs_that_answer_binances_pings_do_not_count() -> None:
    limits = BinanceLimits(quotas=SMALL, ping_interval=0.02)
    with (
        running(*exchanges(Ledger(), limits)) as address,
        connect(f"ws://{address}{STREAM}") as client,
    ):
        # At 50 arrays per second there are 20 pings meanwhile.
        for _ in range(20):
            text_of(client)


def test_binance_refuses_a_request_whose_weight_is_too_much() -> None:
    with small_exchange() as address:
        url = f"http://{address}/api/v3"
        assert requests.get(f"{url}/exchangeInfo", timeout=DEADLINE).status_code == 200
        refused = requests.get(f"{url}/exchangeInfo", timeout=DEADLINE)
    assert refused.status_code == 429
    assert refused.json()["code"] == -1003
    assert "current limit is 25 request weight per 1 MINUTE" in refused.json()["msg"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-MBX-USED-WEIGHT-1M"] == "40"


def test_kucoin_refuses_a_connection_too_many_in_place_of_the_welcome() -> None:
    with small_exchange() as address:
        urls = [kucoin_url(address) for _ in range(2)]
        for url in (urls[0], urls[0]):
            with connect(url) as client:
                assert json.loads(text_of(client))["type"] == "welcome"
        with connect(urls[1]) as client:
            assert json.loads(text_of(client)) == {
                "id": "c1",
                "type": "error",
                "code": 509,
                "data": "service busy, please retry later",
            }
            with pytest.raises(ConnectionClosed) as closed:
                text_of(client)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


def test_kucoin_answers_a_message_too_many_by_an_error_and_goes_on_with_data() -> None:
    with small_exchange() as address, connect(kucoin_url(address), max_queue=None) as client:
        text_of(client)
        client.send(SUBSCRIBE)
        for number in range(3):
            client.send(json.dumps({"id": f"p{number}", "type": "ping"}))
        answers = [each for each in map(json.loads, texts_until_error(client)) if "id" in each]
        assert is_data("kucoin", text_of(client))
    assert [(each["id"], each["type"]) for each in answers] == [
        ("1", "ack"),
        ("p0", "pong"),
        ("p1", "pong"),
        ("c1", "error"),
    ]
    assert answers[-1]["code"] == 509


def texts_until_error(client: ClientConnection) -> Iterator[str]:
    """Yield the texts up to the first error."""
    for text in texts(client):
        yield text
        if '"type":"error"' in text:
            return


def test_kucoin_refuses_a_request_whose_weight_is_too_much() -> None:
    with small_exchange() as address:
        url = f"http://{address}/api/v1"
        assert requests.get(f"{url}/market/allTickers", timeout=DEADLINE).status_code == 200
        assert requests.post(f"{url}/bullet-public", timeout=DEADLINE).status_code == 200
        refused = requests.post(f"{url}/bullet-public", timeout=DEADLINE)
    assert refused.status_code == 429
    assert refused.json()["code"] == "429000"
    assert refused.headers["gw-ratelimit-limit"] == "25"
    assert refused.headers["gw-ratelimit-remaining"] == "0"
    assert 0 < int(refused.headers["gw-ratelimit-reset"]) <= 60_000
