"""Test cryptofeed against both replayed exchanges. Its Binance ticker is the best bid and ask."""

from decimal import Decimal

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program

SYMBOLS = {"BTC-USDT", "ETH-USDT"}


@pytest.fixture(scope="module")
def reports(exchange: Exchange) -> Reports:
    return run_program("cryptofeed", exchange.address)


def test_it_reads_the_symbols_that_trade(reports: Reports) -> None:
    assert reports.one("BINANCE symbols") == 1440
    assert reports.one("KUCOIN symbols") == 633


def test_it_receives_every_symbol_that_it_asks_for(reports: Reports) -> None:
    assert reports.one("missing") == []


def test_it_receives_the_best_bids_and_asks_of_binance(
    reports: Reports, exchange: Exchange
) -> None:
    assert {symbol for symbol, *_ in reports.of("BINANCE")} == SYMBOLS
    for symbol, bid, ask, raw in reports.of("BINANCE"):
        exchange.assert_sent("binance", raw)
        assert symbol.replace("-", "") == raw["s"]
        assert (Decimal(bid), Decimal(ask)) == (Decimal(raw["b"]), Decimal(raw["a"]))


def test_it_receives_the_tickers_of_kucoin(reports: Reports, exchange: Exchange) -> None:
    assert {symbol for symbol, *_ in reports.of("KUCOIN")} == SYMBOLS
    for symbol, bid, ask, raw in reports.of("KUCOIN"):
        exchange.assert_sent("kucoin", raw)
        assert raw["topic"] == f"/market/ticker:{symbol}"
        assert Decimal(bid) == Decimal(raw["data"]["bestBid"])
        assert Decimal(ask) == Decimal(raw["data"]["bestAsk"])
