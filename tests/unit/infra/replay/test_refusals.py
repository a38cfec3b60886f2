"""Test refusals, missing answers, and errors in place of the data or between it."""

import json

import pytest
import requests
from websockets.exceptions import (
    InvalidStatus,
)
from websockets.sync.client import connect

from infra.replay.faults.faults import (
    Close,
    Error,
    NoAck,
    NoWelcome,
    RefuseSubscription,
    RefuseWelcome,
    TooManyRequests,
    Unauthorized,
)
from tests.support.ledger import Ledger
from tests.support.replay_exchange import inflict, kucoin_url
from tests.support.small_exchange import (
    STREAM,
    SUBSCRIBE,
    last_of,
    subscribed,
    text_of,
    texts_of,
    until_the_end,
)
from tests.support.waiting import DEADLINE


def test_kucoin_refuses_with_401_at_the_handshake(address: str) -> None:
    inflict(address, "kucoin", Unauthorized())
    url = kucoin_url(address)
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"") == {
        "code": "401",
        "msg": "token is invalid",
    }


def test_binance_refuses_with_401_at_the_handshake(address: str) -> None:
    inflict(address, "binance", Unauthorized())
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}{STREAM}"):
        pass
    assert refused.value.response.status_code == 401


def test_kucoin_says_in_milliseconds_when_to_ask_for_a_token_again(address: str) -> None:
    inflict(address, "kucoin", TooManyRequests(wait=2.5), 2)
    url = f"http://{address}/api/v1/bullet-public"
    for _ in range(2):
        answer = requests.post(url, timeout=DEADLINE)
        assert answer.status_code == 429
        assert answer.json()["code"] == "429000"
        assert answer.headers["gw-ratelimit-reset"] == "2500"
        assert answer.headers["gw-ratelimit-remaining"] == "0"
    assert requests.post(url, timeout=DEADLINE).status_code == 200


def test_binance_says_in_seconds_when_to_connect_again(address: str) -> None:
    inflict(address, "binance", TooManyRequests(wait=2.5))
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}{STREAM}"):
        pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "3"


def test_a_welcome_that_never_comes(address: str) -> None:
    inflict(address, "kucoin", NoWelcome())
    with connect(kucoin_url(address)) as client:
        client.send('{"id":"7","type":"ping"}')
        assert json.loads(text_of(client))["type"] == "pong"


def test_an_ack_that_never_comes_and_no_data_either(address: str) -> None:
    inflict(address, "kucoin", NoAck())
    with connect(kucoin_url(address)) as client:
        assert json.loads(text_of(client))["type"] == "welcome"
        client.send(SUBSCRIBE)
        client.send('{"id":"7","type":"ping"}')
        assert json.loads(text_of(client))["type"] == "pong"
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_an_error_in_place_of_the_welcome(address: str) -> None:
    inflict(address, "kucoin", RefuseWelcome(code=401))
    with connect(kucoin_url(address)) as client:
        assert json.loads(text_of(client)) == {
            "id": "c1",
            "type": "error",
            "code": 401,
            "data": "token is invalid",
        }


@pytest.mark.parametrize(
    ("code", "problem"),
    [(404, "topic does not exist"), (509, "service busy, please retry later"), (999, "error 999")],
)
def test_an_error_in_place_of_the_ack(address: str, code: int, problem: str) -> None:
    inflict(address, "kucoin", RefuseSubscription(code=code))
    with connect(kucoin_url(address)) as client:
        text_of(client)
        client.send(SUBSCRIBE)
        error = {"id": "1", "type": "error", "code": code, "data": problem}
        assert json.loads(text_of(client)) == error
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_an_error_in_place_of_binances_data(address: str) -> None:
    inflict(address, "binance", RefuseSubscription(code=509))
    with connect(f"ws://{address}{STREAM}") as client:
        assert json.loads(text_of(client)) == {
            "error": {"code": 509, "msg": "Service is busy"},
            "id": None,
        }
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_an_error_in_answer_to_binances_subscribe_alone(address: str) -> None:
    inflict(address, "binance", RefuseSubscription(code=509))
    with connect(f"ws://{address}/ws") as client:
        client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert json.loads(text_of(client)) == {"result": [], "id": 1}
        client.send('{"method":"SUBSCRIBE","params":["!miniTicker@arr"],"id":2}')
        assert json.loads(text_of(client)) == {
            "error": {"code": 509, "msg": "Service is busy"},
            "id": 2,
        }


@pytest.mark.parametrize(
    ("exchange", "error"),
    [
        (
            "kucoin",
            {"type": "error", "code": 509, "data": "service busy, please retry later"},
        ),
        ("binance", {"error": {"code": 509, "msg": "Service is busy"}, "id": None}),
    ],
)
def test_an_error_between_the_data(
    address: str, ledger: Ledger, exchange: str, error: object
) -> None:
    inflict(address, exchange, Error(code=509, after_frames=2))
    inflict(address, exchange, Close(after_frames=4))
    with subscribed(address, exchange) as client:
        texts, _ = until_the_end(client)
    assert json.loads(texts.pop(2)) == error
    assert texts_of(last_of(ledger, exchange)) == texts
    assert len(texts) == 4
