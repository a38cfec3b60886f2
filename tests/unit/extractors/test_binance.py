"""Frames of !miniTicker@arr to raw data."""

import json

import pytest

from core.message import encode_item
from extractors.binance import BinanceRawData, BinanceSession
from extractors.deadline import Deadline
from extractors.feed import FeedError, RawData, ShutdownAnnounced, UnreadableRawData
from tests.support.feeds import binance_feed
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIVED_AT


def receive(text: str) -> list[RawData]:
    return BinanceSession().receive(text, RECEIVED_AT)


def test_array_becomes_one_raw_data_per_ticker_in_its_order() -> None:
    assert receive(json.dumps([BTCUSDT, ETHUSDT])) == [
        BinanceRawData(BTCUSDT, RECEIVED_AT),
        BinanceRawData(ETHUSDT, RECEIVED_AT),
    ]


def test_item_is_the_exchanges_object_and_received_at() -> None:
    [raw_data] = receive(json.dumps([{**BTCUSDT, "x": {"new": ["field"]}}]))
    assert raw_data.symbol == "BTCUSDT"
    assert raw_data.item() == {
        **BTCUSDT,
        "x": {"new": ["field"]},
        "received_at": RECEIVED_AT,
    }


def test_symbol_that_is_not_ascii_stays_as_it_is_written() -> None:
    [raw_data] = receive(json.dumps([{**BTCUSDT, "s": "币安人生USDT"}]))
    assert raw_data.symbol == "币安人生USDT"


def test_bad_element_travels_on_and_costs_no_neighbour() -> None:
    nameless = {"e": "24hrMiniTicker", "c": "1"}
    numbered = {"s": 7, "c": "1"}
    raw_data = receive(json.dumps([BTCUSDT, None, "币", nameless, numbered, ETHUSDT]))
    assert [each.symbol for each in raw_data] == ["BTCUSDT", "", "", "", "", "ETHUSDT"]
    assert [each.item() for each in raw_data[1:5]] == [
        {"unreadable": "null", "received_at": RECEIVED_AT},
        {"unreadable": '"币"', "received_at": RECEIVED_AT},
        {**nameless, "received_at": RECEIVED_AT},
        {**numbered, "received_at": RECEIVED_AT},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>502</html>",
        json.dumps([BTCUSDT])[:-1],
        '[{"s":"BTCUSDT","c":NaN}]',
        '{"e":"24hrMiniTicker","s":"BTCUSDT"}',
        "[" * 100_000,
        "9" * 5_000,
        "1e" + "9" * 30,
    ],
    ids=["empty", "html", "cut off", "NaN", "object", "deep", "long", "large"],
)
def test_text_that_is_no_array_of_tickers_is_kept(text: str) -> None:
    assert receive(text) == [UnreadableRawData(text, RECEIVED_AT)]


def test_numbers_keep_their_value() -> None:
    [raw_data] = receive(
        '[{"s":"X","a":85439.99,"b":12345678901234567890,"c":0.123456789012345678,"d":1e999}]'
    )
    assert json.loads(encode_item(raw_data.item())) == {
        "s": "X",
        "a": 85439.99,
        "b": 12345678901234567890,
        "c": "0.123456789012345678",
        "d": "1e999",
        "received_at": RECEIVED_AT,
    }


def test_answer_to_a_request_brings_nothing() -> None:
    assert receive('{"result":null,"id":1}') == []


def test_server_shutdown_is_announced_and_is_no_end() -> None:
    with pytest.raises(ShutdownAnnounced, match=r"^serverShutdown$"):
        receive('{"e":"serverShutdown","E":1743147448467}')


def test_error_ends_the_connection_and_says_why() -> None:
    with pytest.raises(FeedError) as error:
        receive('{"error":{"code":2,"msg":"Invalid request"},"id":2}')
    assert (error.value.cause, str(error.value)) == ("error_2", "error_2: Invalid request")
    assert (error.value.at_once, error.value.retry_after) == (False, 0.0)


@pytest.mark.parametrize(
    ("ticker", "sequence"), [(BTCUSDT, 1743147448467), ({"s": "BTCUSDT"}, None), ({"E": "1"}, None)]
)
def test_sequence_is_the_event_time(ticker: dict[str, object], sequence: int | None) -> None:
    assert BinanceRawData(ticker, RECEIVED_AT).sequence == sequence


def test_endpoint_is_the_all_tickers_stream() -> None:
    endpoint = binance_feed("wss://stream.binance.com:9443").endpoint(Deadline(10.0))
    assert endpoint.url == "wss://stream.binance.com:9443/ws/!miniTicker@arr"
    assert endpoint.host == "stream.binance.com"
