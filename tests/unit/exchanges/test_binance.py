"""Test how frames of !miniTicker@arr become raw data."""

import json

import pytest

from core.message import unreadable_item
from exchanges.binance import BinanceSession
from exchanges.exchange import (
    ExchangeError,
    RawData,
    Received,
    ShutdownAnnounced,
    UnreadableRawData,
)
from extractors.network.deadline import Deadline
from tests.support.exchange_clients import binance_client, item_of
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIVED_AT


def receive(text: str | bytes) -> list[Received]:
    data = text.encode() if isinstance(text, str) else text
    return BinanceSession().receive(data)


def item(ticker: str) -> bytes:
    """Return the text of a ticker as it goes to Kafka."""
    return f'{ticker[:-1]},"received_at":{RECEIVED_AT}}}'.encode()


def unreadable(text: str) -> bytes:
    return unreadable_item(text, RECEIVED_AT)


def test_array_becomes_one_raw_data_per_ticker_in_its_order() -> None:
    first, second = json.dumps(BTCUSDT).encode(), json.dumps(ETHUSDT, indent=1).encode()
    assert receive(b" [ %s ,\n%s]\n" % (first, second)) == [
        RawData(first, "BTCUSDT", BTCUSDT["E"]),
        RawData(second, "ETHUSDT", ETHUSDT["E"]),
    ]


def test_array_without_tickers_brings_nothing() -> None:
    assert receive("[]") == receive(" [ ]\n") == []


def test_item_is_the_exchanges_text_and_received_at() -> None:
    ticker = json.dumps({**BTCUSDT, "x": {"new": ["field"]}})
    [raw_data] = receive(f"[{ticker}]")
    assert raw_data.symbol == "BTCUSDT"
    assert item_of(raw_data) == item(ticker)


def test_symbol_that_is_not_ascii_stays_as_it_is_written() -> None:
    for ticker in (r'{"s":"\u5e01安人生USDT"}', '{"s":"币安人生USDT"}'):
        [raw_data] = receive(f"[{ticker}]")
        assert raw_data.symbol == "币安人生USDT"
        assert item_of(raw_data) == item(ticker)


def test_bad_element_travels_on_and_costs_no_neighbour() -> None:
    nameless = '{"e":"24hrMiniTicker","c":"1"}'
    numbered = '{"s":7,"c":"1"}'
    first, last = json.dumps(BTCUSDT), json.dumps(ETHUSDT)
    raw_data = receive(f'[{first}, null, "币", {nameless},{numbered},{last}]')
    assert [each.symbol for each in raw_data] == ["BTCUSDT", "", "", "", "", "ETHUSDT"]
    assert [item_of(each) for each in raw_data] == [
        item(first),
        unreadable("null"),
        unreadable('"币"'),
        item(nameless),
        item(numbered),
        item(last),
    ]


@pytest.mark.parametrize(
    "element",
    [
        '{"s":"BTCUSDT","c":NaN}',
        '{"s":"BTCUSDT","c":}',
        '{"s":"BTCUSDT"}}',
        '{"s":"\ud800"}',
        f'{{"s":"A","x":{"[" * 100}1{"]" * 100}}}',
        f'{{"s":"A","x":{"[" * 100_000}1{"]" * 100_000}}}',
    ],
    ids=["NaN", "no value", "a brace", "no UTF-8", "deep", "very deep"],
)
def test_element_that_can_not_be_read_is_kept_beside_readable_neighbours(element: str) -> None:
    first, last = json.dumps(BTCUSDT), json.dumps(ETHUSDT)
    data = f"[{first},{element},{last}]".encode("utf-8", "surrogatepass")
    raw_data = receive(data)
    assert [each.symbol for each in raw_data] == ["BTCUSDT", "", "ETHUSDT"]
    assert [item_of(each) for each in raw_data] == [
        item(first),
        unreadable(element.replace("\ud800", "\\xed\\xa0\\x80")),
        item(last),
    ]
    assert isinstance(raw_data[1], UnreadableRawData)


@pytest.mark.long
def test_ticker_of_any_depth_is_kept_to_the_letter_or_as_unreadable_text() -> None:
    kept = set[int]()
    for depth in range(1, 2_001):
        opening, field, closing = ("[", "", "]") if depth % 2 else ("{", '"x":', "}")
        inner = (opening + field) * (depth - 1) + "0" + closing * (depth - 1)
        ticker = f'{{"s":"A","x":{inner}}}'
        [raw_data] = receive(f"[{ticker}]")
        if isinstance(raw_data, UnreadableRawData):
            assert item_of(raw_data) == unreadable(ticker)
        else:
            assert item_of(raw_data) == item(ticker)
            kept.add(depth)
    assert kept == set(range(1, 101))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>502</html>",
        json.dumps([BTCUSDT])[:-1],
        json.dumps([BTCUSDT])[:-3],
        json.dumps([BTCUSDT]) * 2,
        '\ufeff[{"s":"BTCUSDT"}]',
        '{"e":"24hrMiniTicker","s":"BTCUSDT"}',
        "[" * 100_000,
        "9" * 5_000,
        "1e" + "9" * 30,
    ],
    ids=[
        *("empty", "html", "cut off", "cut off in a string", "two arrays", "BOM"),
        *("object", "deep", "long", "large"),
    ],
)
def test_text_that_is_no_array_of_tickers_is_kept(text: str) -> None:
    [raw_data] = receive(text)
    assert raw_data == UnreadableRawData(text.encode())
    assert item_of(raw_data) == unreadable(text)


def test_bytes_that_are_no_utf8_become_escapes() -> None:
    [raw_data] = receive(b'{"s":"\xff\xfe"}')
    assert item_of(raw_data) == unreadable('{"s":"\\xff\\xfe"}')


def test_numbers_keep_their_digits() -> None:
    ticker = '{"s":"X","a":85439.990,"b":123456789012345678901,"c":0.123456789012345678,"d":1E999}'
    [raw_data] = receive(f"[{ticker}]")
    assert item_of(raw_data) == item(ticker)


def test_answer_to_a_request_brings_nothing() -> None:
    assert receive('{"result":null,"id":1}') == []


def test_server_shutdown_is_announced_and_is_no_end() -> None:
    with pytest.raises(ShutdownAnnounced, match=r"^serverShutdown$"):
        receive('{"e":"serverShutdown","E":1743147448467}')


def test_an_error_of_many_lines_is_one_line_of_bounded_length() -> None:
    error = {"error": {"code": 2, "msg": "a\0\n\ud800b" + "x" * 2_000_000}, "id": 2}
    with pytest.raises(ExchangeError) as raised:
        receive(json.dumps(error))
    assert str(raised.value) == "error_2: a   b" + "x" * 194 + "…"


def test_error_ends_the_connection_and_says_why() -> None:
    with pytest.raises(ExchangeError) as error:
        receive('{"error":{"code":2,"msg":"Invalid request"},"id":2}')
    assert (error.value.cause, str(error.value)) == ("error_2", "error_2: Invalid request")
    assert (error.value.at_once, error.value.retry_after) == (False, 0.0)


@pytest.mark.parametrize(
    ("ticker", "sequence"),
    [
        ('{"s":"BTCUSDT","E":1743147448467}', 1743147448467),
        ('{"s":"BTCUSDT","E":"1743147448467"}', 1743147448467),
        ('{"s":"BTCUSDT"}', None),
        ('{"E":"1.0"}', None),
        ('{"E":1.0}', None),
        ('{"E":true}', None),
        ('{"E":null}', None),
    ],
)
def test_sequence_is_the_event_time_written_as_a_number_or_as_text(
    ticker: str, sequence: int | None
) -> None:
    [raw_data] = receive(f"[{ticker}]")
    assert (raw_data.sequence, item_of(raw_data)) == (sequence, item(ticker))


def test_endpoint_is_the_all_tickers_stream() -> None:
    endpoint = binance_client("wss://stream.binance.com:9443").endpoint(Deadline(10.0))
    assert endpoint.url == "wss://stream.binance.com:9443/ws/!miniTicker@arr"
    assert endpoint.host == "stream.binance.com"
