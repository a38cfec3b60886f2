"""Test binance-sdk-spot, Binance's official client, against the replay exchange."""

from typing import Any

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program


@pytest.fixture(scope="module")
def reports(exchange: Exchange, binance_before: object) -> Reports:
    return run_program("binance_sdk_spot", exchange.address)


def own(model: dict[str, Any]) -> dict[str, Any]:
    """Return a model without its field for unknown properties, which must be empty."""
    assert model["additional_properties"] == {}
    return {name: value for name, value in model.items() if name != "additional_properties"}


def test_it_reads_time_symbols_and_rate_limits(reports: Reports) -> None:
    assert reports.one("ping") == 200
    assert isinstance(own(reports.one("time"))["serverTime"], int)
    assert reports.one("symbols") == [["BTCUSDT", "BTC", "TRADING"], ["ETHUSDT", "ETH", "TRADING"]]
    assert reports.one("rate limits") == [["REQUEST_WEIGHT", "MINUTE"]]


def test_it_reads_the_prices_that_the_exchange_has(
    reports: Reports, binance_before: dict[str, dict[str, Any]]
) -> None:
    assert own(reports.one("day")) == binance_before["BTCUSDT"]
    assert own(reports.one("price")) == {
        "symbol": "ETHUSDT",
        "price": binance_before["ETHUSDT"]["lastPrice"],
    }


def test_it_raises_the_error_of_an_unknown_symbol(reports: Reports) -> None:
    assert reports.one("unknown symbol") == ["BadRequestError", "(-1121, 'Invalid symbol.')"]


def test_it_receives_three_streams_on_a_combined_connection(
    reports: Reports, exchange: Exchange
) -> None:
    tickers = [own(ticker) for ticker in reports.of("mini ticker")]
    books = [own(book) for book in reports.of("book ticker")]
    array = [own(ticker) for ticker in reports.of("array")[0]]
    assert {ticker["s"] for ticker in tickers} == {"BTCUSDT"}
    assert {book["s"] for book in books} == {"ETHUSDT"}
    assert len(array) > 300
    exchange.assert_sent("binance", *tickers, *books, *array)


def test_it_lists_its_subscriptions_and_unsubscribes_from_one(reports: Reports) -> None:
    assert reports.one("subscriptions")["result"] == [
        "btcusdt@miniTicker",
        "ethusdt@bookTicker",
        "!miniTicker@arr",
    ]
    assert reports.one("fewer subscriptions")["result"] == [
        "btcusdt@miniTicker",
        "ethusdt@bookTicker",
    ]
