"""Test python-binance against the replay exchange."""

from typing import Any

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program


@pytest.fixture(scope="module")
def reports(exchange: Exchange, binance_before: object) -> Reports:
    return run_program("python_binance", exchange.address)


def test_it_reads_time_and_a_symbol(reports: Reports) -> None:
    assert reports.one("ping") == {}
    assert isinstance(reports.one("time")["serverTime"], int)
    symbol = reports.one("symbol")
    assert (symbol["symbol"], symbol["status"]) == ("BTCUSDT", "TRADING")
    assert [each["filterType"] for each in symbol["filters"]] == ["PRICE_FILTER", "LOT_SIZE"]


def test_it_reads_the_prices_that_the_exchange_has(
    reports: Reports, binance_before: dict[str, dict[str, Any]]
) -> None:
    assert reports.one("all days") == list(binance_before.values())
    assert len(binance_before) == 1440
    assert reports.one("day") == binance_before["BTCUSDT"]
    ether = binance_before["ETHUSDT"]
    assert reports.one("price") == {"symbol": "ETHUSDT", "price": ether["lastPrice"]}
    book = ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")
    assert reports.one("book") == {name: ether[name] for name in book}


def test_it_raises_the_error_of_an_unknown_symbol(reports: Reports) -> None:
    assert reports.one("unknown symbol") == [400, -1121, "Invalid symbol."]


def test_it_receives_raw_streams(reports: Reports, exchange: Exchange) -> None:
    array, ticker = reports.one("array"), reports.one("mini ticker")
    book = reports.one("book ticker")
    assert len(array) > 300
    assert (ticker["e"], ticker["s"]) == ("24hrMiniTicker", "BTCUSDT")
    assert book["s"] == "BTCUSDT"
    exchange.assert_sent("binance", *array, ticker, book)


def test_it_receives_combined_streams(reports: Reports, exchange: Exchange) -> None:
    messages = reports.of("combined")
    assert {message["stream"]: message["data"]["s"] for message in messages} == {
        "btcusdt@miniTicker": "BTCUSDT",
        "ethusdt@miniTicker": "ETHUSDT",
    }
    exchange.assert_sent("binance", *(message["data"] for message in messages))
