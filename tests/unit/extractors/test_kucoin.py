"""KuCoin's bullet, its protocol on a connection, and frames of /market/ticker:all to raw data."""

import json

import pytest

from extractors.feed import ConfigurationError, FeedError, RawData, UnreadableRawData
from extractors.kucoin import KucoinRawData, KucoinSession, read_bullet
from tests.support.feeds import kucoin_feed
from tests.support.frames import CRO_USDT, RECEIVED_AT, recorded_kucoin_frames
from tests.support.loopback import bullet, http_server

WELCOME = '{"id":"hQvf8jkno","type":"welcome"}'
ACK = '{"id":"1","type":"ack"}'


def receive(text: str) -> list[RawData]:
    return KucoinSession(ping_interval=18.0, now=0.0).receive(text, RECEIVED_AT)


@pytest.mark.parametrize("frame", [CRO_USDT, *recorded_kucoin_frames()])
def test_item_is_the_exchanges_frame_and_received_at(frame: dict[str, object]) -> None:
    [raw_data] = receive(json.dumps(frame))
    assert raw_data == KucoinRawData(frame, RECEIVED_AT)
    assert raw_data.symbol == frame["subject"]
    assert raw_data.item() == {**frame, "received_at": RECEIVED_AT}


def test_message_without_a_subject_travels_on_without_a_symbol() -> None:
    frame = {"type": "message", "topic": "/market/ticker:all", "data": {"Time": 1}}
    [raw_data] = receive(json.dumps(frame))
    assert raw_data.symbol == ""
    assert raw_data.item() == {**frame, "received_at": RECEIVED_AT}


@pytest.mark.parametrize("text", ["", "[]", "null", '{"type":"notice"}', json.dumps(CRO_USDT)[:-9]])
def test_text_that_the_documents_do_not_know_is_kept(text: str) -> None:
    assert receive(text) == [UnreadableRawData(text, RECEIVED_AT)]


@pytest.mark.parametrize("text", [WELCOME, ACK, '{"id":"1","type":"pong","timestamp":1}'])
def test_control_frames_bring_nothing(text: str) -> None:
    assert receive(text) == []


@pytest.mark.parametrize(
    ("code", "problem", "at_once", "retry_after", "is_final"),
    [
        (400, "ping timeout", True, 0.0, False),
        (400, "topic is invalid", False, 0.0, True),
        (401, "token is expired", True, 0.0, False),
        (403, "login is required", False, 0.0, False),
        (404, "topic does not exist", False, 0.0, True),
        (406, "topic is required", False, 0.0, False),
        (415, "type is invalid", False, 0.0, False),
        (500, "internal error", False, 0.0, False),
        (509, "too many subscriptions", False, 10.0, False),
        (777, "something new", False, 0.0, False),
    ],
)
def test_error_ends_the_connection_and_its_code_says_what_follows(
    code: int, problem: str, at_once: bool, retry_after: float, is_final: bool
) -> None:
    with pytest.raises(FeedError) as error:
        receive(json.dumps({"id": "1", "type": "error", "code": code, "data": problem}))
    assert error.value.cause == f"error_{code}"
    assert str(error.value) == f"error_{code}: {problem}"
    assert (error.value.at_once, error.value.retry_after) == (at_once, retry_after)
    assert isinstance(error.value, ConfigurationError) == is_final


@pytest.mark.parametrize(
    ("data", "sequence"),
    [
        (CRO_USDT["data"], 915875484),
        ({"sequence": "9.5"}, None),
        ({"sequence": 9}, None),
        ({"sequence": "9" * 5_000}, None),
        ({}, None),
        ("915875484", None),
        (None, None),
    ],
    ids=["digits", "fraction", "number", "too long", "missing", "text", "null"],
)
def test_sequence_is_the_tickers_own_number(data: object, sequence: int | None) -> None:
    assert KucoinRawData({**CRO_USDT, "data": data}, RECEIVED_AT).sequence == sequence


def test_subscribes_once_and_only_after_the_welcome() -> None:
    session = KucoinSession(ping_interval=18.0, now=0.0)
    assert session.due(0.1) == []
    session.receive(WELCOME, RECEIVED_AT)
    session.receive(WELCOME, RECEIVED_AT)
    [subscription] = session.due(0.2)
    assert json.loads(subscription) == {
        "id": "1",
        "type": "subscribe",
        "topic": "/market/ticker:all",
        "response": True,
    }
    assert session.due(0.3) == []


@pytest.mark.parametrize(("received", "awaited"), [([], "welcome"), ([WELCOME], "ack")])
def test_answer_that_does_not_come_in_time_ends_the_connection(
    received: list[str], awaited: str
) -> None:
    session = KucoinSession(ping_interval=18.0, now=100.0)
    for text in received:
        session.receive(text, RECEIVED_AT)
    session.due(109.9)
    with pytest.raises(FeedError, match=f"^unanswered: no {awaited} within 10 s$"):
        session.due(110.0)


def test_pings_in_text_at_every_interval() -> None:
    session = KucoinSession(ping_interval=18.0, now=0.0)
    session.receive(WELCOME, RECEIVED_AT)
    session.receive(ACK, RECEIVED_AT)
    session.due(0.0)
    pings = [json.loads(text) for second in range(61) for text in session.due(float(second))]
    assert [ping["type"] for ping in pings] == ["ping"] * 3
    assert len({ping["id"] for ping in pings}) == 3


def test_bullet_names_the_endpoint_and_the_token_goes_encoded_into_its_url() -> None:
    endpoint = read_bullet(bullet("wss://ws-api-spot.kucoin.com", "a+b/c==", ping_interval=18.0))
    assert endpoint.url.startswith("wss://ws-api-spot.kucoin.com/?token=a%2Bb%2Fc%3D%3D&connectId=")
    assert endpoint.host == "ws-api-spot.kucoin.com"
    assert endpoint.ping_interval == 18.0
    assert "a%2Bb" not in repr(endpoint)


def test_bullet_may_name_several_servers_and_any_is_taken() -> None:
    answer = json.loads(bullet("wss://one.kucoin.com", "t"))
    servers = answer["data"]["instanceServers"]
    servers.append({**servers[0], "endpoint": "wss://two.kucoin.com/"})
    hosts = {read_bullet(json.dumps(answer)).host for _ in range(100)}
    assert hosts == {"one.kucoin.com", "two.kucoin.com"}


@pytest.mark.parametrize(
    "answer",
    [
        "<html>502 secret</html>",
        "[]",
        '{"code":"200000","data":{"token":"secret","instanceServers":[]}}',
        '{"code":"200000","data":{"token":"secret"}}',
        bullet("https://kucoin.com", "secret"),
        bullet("wss://kucoin.com", "secret", ping_interval=0),
    ],
)
def test_bullet_that_can_not_be_read_is_refused_without_its_token(answer: str) -> None:
    with pytest.raises(FeedError, match="can't be read") as refused:
        read_bullet(answer)
    assert "secret" not in str(refused.value)


def test_bullet_with_an_error_code_is_refused_with_it() -> None:
    with pytest.raises(FeedError, match="code 400100: nothing here"):
        read_bullet('{"code":"400100","msg":"nothing here"}')


def test_every_connection_asks_for_a_token_of_its_own() -> None:
    tokens = iter(["first", "second"])
    with http_server(lambda: bullet("ws://127.0.0.1:9", next(tokens))) as url:
        feed = kucoin_feed(url)
        urls = [feed.endpoint().url, feed.endpoint().url]
    assert ["token=first" in urls[0], "token=second" in urls[1]] == [True, True]


def test_too_many_requests_name_the_pause_that_is_demanded() -> None:
    with http_server(lambda: "", status=429, headers={"gw-ratelimit-reset": "14000"}) as url:
        with pytest.raises(FeedError, match="429") as refused:
            kucoin_feed(url).endpoint()
    assert refused.value.retry_after == 14.0


def test_server_that_fails_is_named_by_its_status() -> None:
    with http_server(lambda: "oops", status=503) as url:
        with pytest.raises(FeedError, match="bullet-public answered 503") as refused:
            kucoin_feed(url).endpoint()
    assert refused.value.retry_after == 0.0
