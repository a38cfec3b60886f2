"""Messages to tickers, with either reader: forms that exchanges were seen to send, and their rows."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import READ, polars_schema
from spark_jobs.tickers.reader import read_messages
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item, recorded_kucoin_frames
from tests.support.messages import (
    READERS,
    Reader,
    at_the_depth_limit,
    encoded,
    frame,
    in_order,
    message,
    short,
)

both_ways = pytest.mark.parametrize("read", READERS)


def kucoin(**texts: str) -> bytes:
    return message_with(CRO_USDT, texts)


def binance(**texts: str) -> bytes:
    return message_with(BTCUSDT, texts)


def message_with(ticker: dict[str, Any], texts: Mapping[str, str]) -> bytes:
    """Return a message of one item. `texts` are values of its fields as written in JSON."""
    text = encoded(item(ticker)).decode()
    for key, written in texts.items():
        before, _, behind = text.partition(f'"{key}":')
        value, end, rest = behind.partition("," if key != "time" else "}")
        assert value, f"no {key}"
        text = f'{before}"{key}":{written}{end}{rest}'
    return f"[{text}]".encode()


def one(read: Reader, topic: str, value: bytes) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return the ticker of a message without dead letters, and the reasons of its unread fields."""
    rows = in_order(read(frame(message(value, topic))))
    assert {row["kind"] for row in rows} <= {"ticker", "unread"}
    tickers = [row for row in rows if row["kind"] == "ticker"]
    assert len(tickers) < 2
    unread = {row["field"]: row["reason"] for row in rows if row["kind"] == "unread"}
    return tickers[0] if tickers else None, unread


# Forms that exchanges send now and then, with the expected columns.
SEEN: Mapping[str, tuple[str, bytes, Mapping[str, str | int | None], Mapping[str, str]]] = {
    "small numbers instead of texts": (
        KUCOIN.raw_topic,
        kucoin(price="0.0000321", bestAsk="0.0000322", bestBid="0.0000320"),
        {"price": "0.0000321", "ask": "0.0000322", "bid": "0.000032"},
        {},
    ),
    "numbers with an exponent": (
        KUCOIN.raw_topic,
        kucoin(price="2.35E-6", bestBid="2.34e-06"),
        {"price": "0.00000235", "bid": "0.00000234", "ask": "0.10605"},
        {},
    ),
    "texts with an exponent": (
        KUCOIN.raw_topic,
        kucoin(price='"4.2E-7"', bestBid='"4.1e-7"', bestAsk='"4.3E-07"'),
        {"price": "0.00000042", "bid": "0.00000041", "ask": "0.00000043"},
        {},
    ),
    "a size with an exponent": (
        KUCOIN.raw_topic,
        kucoin(size='"1E-8"', bestBidSize='"3E+2"'),
        {"price": "0.10604", "last_size": "0.00000001", "bid_size": "300"},
        {},
    ),
    "Binance's figures as numbers, more digits than a float has": (
        BINANCE.raw_topic,
        binance(c="0.00004321", o="0.00004300", v="76543210987654321", q="12345678901234567.89"),
        {
            **{"price": "0.00004321", "open_24h": "0.000043"},
            **{"base_volume_24h": "76543210987654321", "quote_volume_24h": "12345678901234567.89"},
        },
        {},
    ),
    "an empty order book": (
        KUCOIN.raw_topic,
        kucoin(bestAsk='""', bestAskSize='""', bestBid='""', bestBidSize='""'),
        {"price": "0.10604", "bid": None, "bid_size": None, "ask": None, "ask_size": None},
        dict.fromkeys(("bid", "bid_size", "ask", "ask_size"), "is empty"),
    ),
    "an order book of null": (
        KUCOIN.raw_topic,
        kucoin(bestAsk="null", bestAskSize="null", bestBid="null", bestBidSize="null"),
        {"price": "0.10604", "bid": None, "ask": None},
        {},
    ),
    "no trade yet": (
        KUCOIN.raw_topic,
        kucoin(time="0"),
        {"price": "0.10604", "traded_at": None},
        {"traded_at": "is out of range"},
    ),
    "a size of 19 decimals": (
        KUCOIN.raw_topic,
        kucoin(bestAskSize='"3.4567890123456789012"'),
        {"price": "0.10604", "ask_size": None},
        {"ask_size": "has more than 18 decimals"},
    ),
    "a volume of 21 digits": (
        BINANCE.raw_topic,
        binance(v='"123456789012345678901.5"'),
        {"price": "85439.99", "base_volume_24h": None},
        {"base_volume_24h": "has more than 20 digits before the point"},
    ),
    "a sequence as a number": (
        KUCOIN.raw_topic,
        kucoin(sequence="915875484"),
        {"price": "0.10604", "sequence": 915875484},
        {},
    ),
    "a sequence with a point": (KUCOIN.raw_topic, kucoin(sequence="1.0"), {"sequence": 1}, {}),
    "a sequence with an exponent": (
        KUCOIN.raw_topic,
        kucoin(sequence='"1E3"'),
        {"sequence": 1000},
        {},
    ),
    "an event time as a text": (
        BINANCE.raw_topic,
        binance(E='"1743147448467"'),
        {"price": "85439.99", "sequence": 1743147448467},
        {},
    ),
    "an event time with an exponent": (
        BINANCE.raw_topic,
        binance(E="1.743147448467E12"),
        {"price": "85439.99", "sequence": 1743147448467},
        {},
    ),
}


@both_ways
@pytest.mark.parametrize("case", SEEN)
def test_what_exchanges_write_now_and_then_is_read_exactly(read: Reader, case: str) -> None:
    topic, value, columns, unread = SEEN[case]
    ticker, faults = one(read, topic, value)
    assert ticker is not None
    exact = {
        name: Decimal(value) if isinstance(value, str) else value for name, value in columns.items()
    }
    assert {name: ticker[name] for name in columns} == exact
    assert faults == unread


@both_ways
@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ('""', "is absent"),
        ("null", "is absent"),
        ('"0"', "is zero or less"),
        ("0.0", "is zero or less"),
        ('"-1"', "is zero or less"),
    ],
)
def test_an_exchange_that_has_no_price_yet_makes_neither_ticker_nor_dead_letter(
    read: Reader, price: str, reason: str
) -> None:
    assert one(read, KUCOIN.raw_topic, kucoin(price=price)) == (None, {"price": reason})
    assert one(read, BINANCE.raw_topic, binance(c=price)) == (None, {"price": reason})


@both_ways
def test_a_symbol_without_price_and_trade_has_only_its_price_counted(read: Reader) -> None:
    bare = kucoin(price="null", size="null", time="null")
    assert one(read, KUCOIN.raw_topic, bare) == (None, {"price": "is absent"})


@both_ways
def test_recorded_kucoin_frames_keep_their_values(read: Reader) -> None:
    items = [item(each) for each in recorded_kucoin_frames()]
    rows = in_order(read(frame(message(items, KUCOIN.raw_topic))))
    assert [(row["symbol"], row["price"], row["sequence"], row["reason"]) for row in rows] == [
        ("FTM-ETH", Decimal("0.0002894"), 186911324, None),
        ("MOG-USDT", Decimal("0.0000001141"), 1226485690, None),
        ("DOT-USDT", Decimal("10.4686"), 1619386350765, None),
    ]


@both_ways
def test_symbols_need_not_be_ascii(read: Reader) -> None:
    (row,) = in_order(read(frame(message([item(BTCUSDT, s="币安人生USDT")]))))
    assert (row["symbol"], row["kind"]) == ("币安人生USDT", "ticker")


def test_messages_of_both_exchanges_are_read_at_once_whichever_way_they_go() -> None:
    read = read_messages(
        frame(
            message([item(BTCUSDT)], offset=0),
            message([item(CRO_USDT)], KUCOIN.raw_topic, partition=3, offset=0),
            message([item(ETHUSDT), 7], offset=1),
            message(None, KUCOIN.raw_topic, offset=1),
            message([], offset=2),
            message(kucoin(price="0.5"), KUCOIN.raw_topic, offset=2),
        )
    )
    assert read.schema == polars_schema(READ)
    columns = ("exchange", "partition", "offset", "position", "symbol", "price", "reason")
    rows = [tuple(row[name] for name in columns) for row in in_order(read)]
    assert rows == [
        ("binance", 0, 0, 0, "BTCUSDT", Decimal("85439.99"), None),
        ("binance", 0, 1, 0, "ETHUSDT", Decimal("1916.44"), None),
        ("binance", 0, 1, 1, None, None, "the item is no JSON object"),
        ("kucoin", 0, 1, -1, None, None, "the message is no JSON array"),
        ("kucoin", 0, 2, 0, "CRO-USDT", Decimal("0.5"), None),
        ("kucoin", 3, 0, 0, "CRO-USDT", Decimal("0.10604"), None),
    ]


def test_no_messages_are_no_rows() -> None:
    read = read_messages(frame())
    assert (len(read), read.schema) == (0, polars_schema(READ))


MEGABYTE = 1_000_000


@at_the_depth_limit
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (binance(c='"' + "1" * MEGABYTE + 'x"'), "price can't be read: " + "1" * 100),
        (binance(c="1" * MEGABYTE), "price can't be read: " + "1" * 100),
        (binance(c="1E999999999"), "price can't be read: 1E999999999"),
        (binance(E="7" * 4_301), "event_time can't be read: " + "7" * 100),
        (binance(s='"' + "x" * MEGABYTE + '"'), "symbol can't be read: " + "x" * 100),
        (b"[" * MEGABYTE, "the message is no JSON array"),
        (b'[{"a":' * 200_000, "the message is no JSON array"),
        (b"[" + b'"' * MEGABYTE, "the message is no JSON array"),
        (b"[{}" + b" " * MEGABYTE, "the message is no JSON array"),
        (
            b"[{" + b",".join(b'"%d":%d' % (n, n) for n in range(100_000)) + b"}]",
            "symbol is missing",
        ),
    ],
    ids=short,
)
def test_a_message_of_nonsense_is_a_dead_letter_at_once(value: bytes, reason: str) -> None:
    began = time.process_time()
    read = read_messages(frame(message(value)))
    assert time.process_time() - began < 5
    assert read["reason"].to_list() == [reason]


def test_a_message_of_tiny_items_is_a_dead_letter_for_each() -> None:
    began = time.process_time()
    read = read_messages(frame(message(b"[" + b",".join([b"{}"] * 100_000) + b"]")))
    assert time.process_time() - began < 20
    assert len(read) == read.filter(pl.col("reason") == "symbol is missing").height == 100_000
