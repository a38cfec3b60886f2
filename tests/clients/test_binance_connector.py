"""Test binance-connector, formerly Binance's official client, against the replay exchange."""

from typing import Any

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program


@pytest.fixture(scope="module")
def reports(exchange: Exchange, binance_before: object) -> Reports:
    return run_program("binance_connector", exchange.address)


def test_it_reads_time_symbols_and_its_used_weight(reports: Reports) -> None:
    assert reports.one("ping") == {}
    assert isinstance(reports.one("time")["serverTime"], int)
    # Weights: 80 for all prices, which `binance_before` requested; 3 for a ping and two times.
    assert reports.one("used weight") == 83
    (symbol,) = reports.one("one symbol")
    assert (symbol["symbol"], symbol["baseAsset"], symbol["quoteAsset"]) == (
        "BTCUSDT",
        "BTC",
        "USDT",
    )
    assert {each["filterType"]: each for each in symbol["filters"]}["PRICE_FILTER"]["tickSize"] == (
        "0.01000000"
    )
    assert [each["symbol"] for each in reports.one("two symbols")] == ["BTCUSDT", "ETHUSDT"]


def test_it_reads_the_prices_that_the_exchange_has(
    reports: Reports, binance_before: dict[str, dict[str, Any]]
) -> None:
    assert reports.one("day") == binance_before["BTCUSDT"]
    assert [each["symbol"] for each in reports.one("mini day")] == ["BTCUSDT", "ETHUSDT"]
    for each in reports.one("mini day"):
        assert each == {name: binance_before[each["symbol"]][name] for name in each}
    assert reports.one("book") == {
        name: binance_before["BTCUSDT"][name]
        for name in ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")
    }


def test_it_raises_the_error_of_an_unknown_symbol(reports: Reports) -> None:
    assert reports.one("unknown symbol") == [400, -1121, "Invalid symbol."]


def test_it_subscribes_lists_and_unsubscribes_on_a_raw_stream(
    reports: Reports, exchange: Exchange
) -> None:
    assert reports.one("subscribed") == {"result": None, "id": 1}
    assert len(reports.one("array")) > 300
    exchange.assert_sent("binance", *reports.one("array"))
    assert reports.one("subscriptions") == {"result": ["!miniTicker@arr"], "id": 2}
    assert reports.one("unsubscribed") == {"result": None, "id": 3}


def test_it_receives_an_error_for_a_stream_of_trades(reports: Reports) -> None:
    assert reports.one("refused") == {
        "error": {"code": 2, "msg": "Invalid request: invalid stream"},
        "id": 4,
    }


def test_it_receives_combined_streams_in_their_envelopes(
    reports: Reports, exchange: Exchange
) -> None:
    ticker, book = reports.one("mini ticker"), reports.one("book ticker")
    assert (ticker["stream"], ticker["data"]["s"]) == ("btcusdt@miniTicker", "BTCUSDT")
    assert (book["stream"], book["data"]["s"]) == ("ethusdt@bookTicker", "ETHUSDT")
    exchange.assert_sent("binance", ticker["data"], book["data"])
