"""Test ccxt with ccxt.pro against both replayed exchanges."""

from decimal import Decimal
from typing import Any

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program

Prices = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def kucoin_before(exchange: Exchange) -> Prices:
    answer = exchange.get("/api/v1/market/allTickers")
    return {each["symbol"]: each for each in answer["data"]["ticker"]}


@pytest.fixture(scope="module")
def reports(exchange: Exchange, binance_before: object, kucoin_before: object) -> Reports:
    return run_program("ccxt", exchange.address)


@pytest.mark.parametrize("name", ["binance", "kucoin"])
def test_it_reads_markets_and_time(reports: Reports, name: str) -> None:
    market = reports.one(f"{name} market")
    assert market["active"] is True
    assert market["id"].replace("-", "") == "BTCUSDT"
    assert market["precision"]["price"] == {"binance": 0.01, "kucoin": 0.1}[name]
    assert isinstance(reports.one(f"{name} time"), int)


def test_it_fetches_the_prices_that_binance_has(reports: Reports, binance_before: Prices) -> None:
    ticker, bitcoin = reports.one("binance fetched"), binance_before["BTCUSDT"]
    assert ticker["info"] == bitcoin
    assert Decimal(str(ticker["last"])) == Decimal(bitcoin["lastPrice"])
    assert Decimal(str(ticker["bid"])) == Decimal(bitcoin["bidPrice"])
    assert len(reports.one("binance all fetched")) == 1440


def test_it_fetches_the_prices_that_kucoin_has(reports: Reports, kucoin_before: Prices) -> None:
    ticker, bitcoin = reports.one("kucoin fetched"), kucoin_before["BTC-USDT"]
    assert (ticker["info"]["last"], ticker["info"]["buy"]) == (bitcoin["last"], bitcoin["buy"])
    assert Decimal(str(ticker["last"])) == Decimal(bitcoin["last"])
    assert len(reports.one("kucoin all fetched")) == 634


@pytest.mark.parametrize("what", ["watched", "watched by symbol", "watched alone"])
def test_it_watches_tickers_of_binance(reports: Reports, exchange: Exchange, what: str) -> None:
    tickers = reports.of(f"binance {what}")
    exchange.assert_sent("binance", *(ticker["info"] for ticker in tickers))
    for ticker in tickers:
        assert Decimal(str(ticker["last"])) == Decimal(ticker["info"]["c"])
    if what == "watched":
        assert len(tickers) > 300
    else:
        symbols = {"BTC/USDT"} if what == "watched alone" else {"BTC/USDT", "ETH/USDT"}
        assert {ticker["symbol"] for ticker in tickers} == symbols


def test_it_watches_bids_and_asks_of_binance(reports: Reports, exchange: Exchange) -> None:
    books = reports.one("binance book")
    assert books
    for book in books:
        exchange.assert_sent("binance", book["info"])
        assert Decimal(str(book["bid"])) == Decimal(book["info"]["b"])
        assert Decimal(str(book["ask"])) == Decimal(book["info"]["a"])


@pytest.mark.parametrize("what", ["watched", "watched by symbol", "watched alone"])
def test_it_watches_tickers_of_kucoin(reports: Reports, exchange: Exchange, what: str) -> None:
    tickers = reports.of(f"kucoin {what}")
    assert tickers
    for ticker in tickers:
        symbol = ticker["symbol"].replace("/", "-")
        of_all = {"topic": "/market/ticker:all", "subject": symbol}
        of_one = {"topic": f"/market/ticker:{symbol}", "subject": "trade.ticker"}
        frame = of_all if what == "watched" else of_one
        exchange.assert_sent("kucoin", {**frame, "type": "message", "data": ticker["info"]})
        assert Decimal(str(ticker["last"])) == Decimal(ticker["info"]["price"])


def test_it_reads_the_currencies_of_kucoin(reports: Reports) -> None:
    assert {"BTC", "ETH", "USDT"} <= set(reports.one("kucoin currencies"))


def test_it_raises_the_errors_of_both_exchanges(reports: Reports) -> None:
    assert '{"code":-1121,"msg":"Invalid symbol."}' in reports.one("binance unknown symbol")
    assert '{"code":"900001","msg":"symbol not exists"}' in reports.one("kucoin unknown symbol")
    assert '{"code":"400100","msg":"Invalid Parameter."}' in reports.one("kucoin no symbol")
