"""Test KuCoin's protocol, and how frames of /market/ticker:all become raw data."""

import json
from typing import Any

import pytest

from core.message import unreadable_item
from exchanges.exchange import (
    ConfigurationError,
    ExchangeError,
    RawData,
    Received,
    UnreadableRawData,
)
from exchanges.kucoin import KucoinSession
from tests.support.exchange_clients import item_of
from tests.support.frames import CRO_USDT, RECEIVED_AT, recorded_kucoin_frames

WELCOME = b'{"id":"hQvf8jkno","type":"welcome"}'
ACK = b'{"id":"1","type":"ack"}'


def receive(text: str | bytes) -> list[Received]:
    data = text.encode() if isinstance(text, str) else text
    return KucoinSession(ping_interval=18.0, now=0.0).receive(data)


def item(frame: str) -> bytes:
    """Return the text of a frame as it goes to Kafka."""
    return f'{frame[:-1]},"received_at":{RECEIVED_AT}}}'.encode()


@pytest.mark.parametrize("frame", [CRO_USDT, *recorded_kucoin_frames()])
def test_item_is_the_exchanges_text_and_received_at(frame: dict[str, Any]) -> None:
    text = json.dumps(frame)
    [raw_data] = receive(text)
    sequence = int(frame["data"]["sequence"])
    assert raw_data == RawData(text.encode(), frame["subject"], sequence)
    assert item_of(raw_data) == item(text)


def test_item_keeps_digits_repeated_keys_and_escapes() -> None:
    frame = (
        r'{"type":"message", "subject":"\u5e01\/USDT","subject":"币-USDT",'
        r'"data":{"price":0.10,"size":1E5,"sequence":1234567890123456789},"received_at":"own"}'
    )
    [raw_data] = receive(frame)
    assert (raw_data.symbol, raw_data.sequence) == ("币-USDT", 1234567890123456789)
    assert item_of(raw_data) == item(frame)


def test_message_without_a_subject_travels_on_without_a_symbol() -> None:
    frame = '{"type":"message","topic":"/market/ticker:all","data":{"Time":1}}'
    [raw_data] = receive(frame)
    assert raw_data.symbol == ""
    assert item_of(raw_data) == item(frame)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", '{"type":"notice"}', json.dumps(CRO_USDT)[:-9]),
        '{"type":"message","data":{"price":NaN}}',
        '\ufeff{"type":"message"}',
    ],
)
def test_text_that_the_documents_do_not_know_is_kept(text: str) -> None:
    [raw_data] = receive(text)
    assert raw_data == UnreadableRawData(text.encode())
    assert item_of(raw_data) == unreadable_item(text, RECEIVED_AT)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_frame_of_any_depth_is_kept_to_the_letter_or_as_unreadable_text(brackets: str) -> None:
    opening, closing = brackets[0], brackets[1]
    kept = set[int]()
    for depth in range(1, 2_001):
        field = '"x":' if opening == "{" else ""
        inner = (opening + field) * (depth - 1) + "0" + closing * (depth - 1)
        frame = f'{{"type":"message","subject":"A-B","data":{inner}}}'
        [raw_data] = receive(frame)
        if isinstance(raw_data, UnreadableRawData):
            assert item_of(raw_data) == unreadable_item(frame, RECEIVED_AT)
        else:
            assert (raw_data.symbol, item_of(raw_data)) == ("A-B", item(frame))
            kept.add(depth)
    assert kept == set(range(1, 101))


@pytest.mark.parametrize("text", [WELCOME, ACK, '{"id":"1","type":"pong","timestamp":1}'])
def test_control_frames_bring_nothing(text: str | bytes) -> None:
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
    with pytest.raises(ExchangeError) as error:
        receive(json.dumps({"id": "1", "type": "error", "code": code, "data": problem}))
    assert error.value.cause == f"error_{code}"
    assert str(error.value) == f"error_{code}: {problem}"
    assert (error.value.at_once, error.value.retry_after) == (at_once, retry_after)
    assert isinstance(error.value, ConfigurationError) == is_final


def test_an_error_of_two_megabytes_is_cut() -> None:
    with pytest.raises(ExchangeError) as error:
        receive(json.dumps({"id": "1", "type": "error", "code": 500, "data": "x" * 2_000_000}))
    assert str(error.value) == "error_500: " + "x" * 199 + "…"
    with pytest.raises(ExchangeError) as error:
        receive(json.dumps({"id": "1", "type": "error", "code": "7\0" * 1_000_000, "data": "a\nb"}))
    assert error.value.cause == f"error_{'7 ' * 100}"[:199] + "…"
    assert str(error.value) == f"{error.value.cause}: a b"


@pytest.mark.parametrize(
    ("data", "sequence"),
    [
        (CRO_USDT["data"], 915875484),
        ({"sequence": 915875484}, 915875484),
        ({"sequence": "9" * 19}, 9_999_999_999_999_999_999),
        ({"sequence": 9_999_999_999_999_999_999}, 9_999_999_999_999_999_999),
        ({"sequence": "1" + "0" * 19}, None),
        ({"sequence": 10**19}, None),
        ({"sequence": "-1"}, None),
        ({"sequence": -1}, None),
        ({"sequence": "9.5"}, None),
        ({"sequence": 9.0}, None),
        ({"sequence": True}, None),
        ({"sequence": "\u0669"}, None),
        ({"sequence": "9" * 5_000}, None),
        ({}, None),
        ("915875484", None),
        (None, None),
    ],
    ids=[
        *("digits", "number", "largest digits", "largest number", "longer digits", "larger number"),
        *("negative digits", "negative number", "fraction", "float", "true", "no ASCII"),
        *("too long", "missing", "text", "null"),
    ],
)
def test_sequence_is_the_tickers_own_number_written_as_a_number_or_as_text(
    data: object, sequence: int | None
) -> None:
    frame = json.dumps({**CRO_USDT, "data": data}, ensure_ascii=False)
    [raw_data] = receive(frame)
    assert (raw_data.sequence, item_of(raw_data)) == (sequence, item(frame))


def test_subscribes_once_and_only_after_the_welcome() -> None:
    session = KucoinSession(ping_interval=18.0, now=0.0)
    assert session.due(0.1) == []
    session.receive(WELCOME)
    session.receive(WELCOME)
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
    received: list[bytes], awaited: str
) -> None:
    session = KucoinSession(ping_interval=18.0, now=100.0)
    for text in received:
        session.receive(text)
    session.due(109.9)
    with pytest.raises(ExchangeError, match=f"^unanswered: no {awaited} within 10 s$"):
        session.due(110.0)


def test_pings_in_text_at_every_interval() -> None:
    session = KucoinSession(ping_interval=18.0, now=0.0)
    session.receive(WELCOME)
    session.receive(ACK)
    session.due(0.0)
    due = [(second, text) for second in range(61) for text in session.due(float(second))]
    assert [second for second, _ in due] == [18, 36, 54]
    pings = [json.loads(text) for _, text in due]
    assert [ping["type"] for ping in pings] == ["ping"] * 3
    assert len({ping["id"] for ping in pings}) == 3
