"""KuCoin's protocol on a connection, and frames of /market/ticker:all to raw data."""

import json

import pytest

from extractors.feed import ConfigurationError, FeedError, RawData, UnreadableRawData
from extractors.kucoin import KucoinRawData, KucoinSession
from tests.support.frames import CRO_USDT, RECEIVED_AT, recorded_kucoin_frames

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
