"""Test how a response of bullet-public becomes a WebSocket's endpoint and token."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from exchanges.exchange import Endpoint, ExchangeError
from exchanges.kucoin import read_bullet
from extractors.network.deadline import Deadline
from tests.support.exchange_clients import kucoin_client
from tests.support.loopback import bullet, http_server
from tests.support.waiting import DEADLINE

SERVER = {
    "endpoint": "wss://ws-api-spot.kucoin.com/",
    "encrypt": True,
    "protocol": "websocket",
    "pingInterval": 18000,
    "pingTimeout": 10000,
}


def answer(*servers: Any, token: Any = "secret", code: Any = "200000") -> str:
    return json.dumps({"code": code, "data": {"token": token, "instanceServers": servers}})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in SERVER.items() if key != name}


def test_token_goes_encoded_into_the_url_and_is_not_shown() -> None:
    endpoint = read_bullet(answer(SERVER, token="a+b/c=="))
    assert endpoint.url.startswith("wss://ws-api-spot.kucoin.com/?token=a%2Bb%2Fc%3D%3D&connectId=")
    assert endpoint.host == "ws-api-spot.kucoin.com"
    session = endpoint.session(0.0)
    assert session.due(9.9) == []
    assert "a%2Bb" not in repr(endpoint)


@pytest.mark.parametrize(
    ("address", "before_token"),
    [
        ("wss://host.example/?v=2", "wss://host.example/?v=2&token="),
        ("wss://host.example?v=2&w=3", "wss://host.example/?v=2&w=3&token="),
        ("wss://host.example/endpoint", "wss://host.example/endpoint?token="),
        ("wss://host.example:8443", "wss://host.example:8443/?token="),
        ("wss://host.example/?", "wss://host.example/?token="),
        ("wss://host.example/?v=2#part", "wss://host.example/?v=2&token="),
    ],
)
def test_path_and_query_of_the_address_stay(address: str, before_token: str) -> None:
    url = read_bullet(answer({**SERVER, "endpoint": address})).url
    assert url.startswith(f"{before_token}secret&connectId=")
    assert len(parse_qs(urlsplit(url).query)["connectId"][0]) == 32


@pytest.mark.parametrize("code", ["200000", 200000])
def test_code_may_be_a_text_or_a_number(code: object) -> None:
    assert read_bullet(answer(SERVER, code=code)).host == "ws-api-spot.kucoin.com"


def test_protocol_need_not_be_named() -> None:
    assert read_bullet(answer(without("protocol"))).host == "ws-api-spot.kucoin.com"


def hosts(text: str) -> set[str]:
    return {read_bullet(text).host for _ in range(100)}


def test_any_of_several_servers_is_taken() -> None:
    other = {**SERVER, "endpoint": "wss://two.example/"}
    assert hosts(answer(SERVER, other)) == {"ws-api-spot.kucoin.com", "two.example"}


NO_WEBSOCKETS: list[Any] = [
    {**SERVER, "protocol": "socket.io"},
    {**SERVER, "protocol": None},
    {**SERVER, "endpoint": "http://host.example/"},
    {**SERVER, "endpoint": "wss://"},
    {**SERVER, "endpoint": "wss://host.example:99999/"},
    {**SERVER, "endpoint": "wss://hösts.example/"},
    {**SERVER, "endpoint": None},
    {**SERVER, "endpoint": 7},
    without("endpoint"),
    {**SERVER, "pingInterval": 0},
    {**SERVER, "pingInterval": "soon"},
    {**SERVER, "pingInterval": 10**400},
    without("pingInterval"),
    None,
    [],
    "wss://host.example/",
]


@pytest.mark.parametrize("entry", NO_WEBSOCKETS, ids=repr)
def test_entry_that_is_no_websocket_is_passed_over(entry: Any) -> None:
    assert hosts(answer(entry, SERVER, entry)) == {"ws-api-spot.kucoin.com"}


@pytest.mark.parametrize("entry", NO_WEBSOCKETS, ids=repr)
def test_list_without_any_websocket_is_an_error_that_says_so_and_not_the_token(entry: Any) -> None:
    with pytest.raises(ExchangeError) as error:
        read_bullet(answer(entry))
    assert error.value.cause == "unreadable"
    assert str(error.value).startswith("unreadable: /api/v1/bullet-public: no WebSocket server: ")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "<html>502 secret</html>",
        "[]",
        "null",
        '{"code":"200000"}',
        '{"code":"200000","data":null}',
        '{"code":"200000","data":{"token":"secret"}}',
        '{"code":"200000","data":{"token":"secret","instanceServers":{}}}',
        answer(),
        answer(SERVER, token=None),
    ],
)
def test_answer_that_can_not_be_read_is_named_by_its_path_without_its_token(text: str) -> None:
    with pytest.raises(ExchangeError, match=r"^unreadable: /api/v1/bullet-public: ") as error:
        read_bullet(text)
    assert "secret" not in str(error.value)


def test_error_code_is_named_with_its_message() -> None:
    with pytest.raises(ExchangeError) as error:
        read_bullet('{"code":"400100","msg":"nothing here"}')
    assert str(error.value) == ("refused: /api/v1/bullet-public answered code 400100: nothing here")


def endpoint_at(url: str) -> Endpoint:
    return kucoin_client(url).endpoint(Deadline(DEADLINE))


def test_every_connection_asks_for_a_token_of_its_own() -> None:
    tokens = iter(["first", "second"])
    with http_server(lambda: bullet("ws://127.0.0.1:9", next(tokens))) as url:
        urls = [endpoint_at(url).url for _ in range(2)]
    assert ["token=first" in urls[0], "token=second" in urls[1]] == [True, True]


def test_too_many_requests_name_the_pause_that_is_demanded() -> None:
    with http_server(lambda: "", status=429, headers={"gw-ratelimit-reset": "14000"}) as url:
        with pytest.raises(ExchangeError, match="/api/v1/bullet-public answered 429") as refused:
            endpoint_at(url)
    assert refused.value.retry_after == 14.0


def test_server_that_fails_is_named_by_its_status() -> None:
    with http_server(lambda: "oops", status=503) as url:
        with pytest.raises(
            ExchangeError, match="/api/v1/bullet-public answered 503: oops"
        ) as refused:
            endpoint_at(url)
    assert refused.value.retry_after == 0.0
