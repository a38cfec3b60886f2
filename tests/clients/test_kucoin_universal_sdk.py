"""Test kucoin-universal-sdk, KuCoin's official client, against the replay exchange."""

import pytest

from tests.clients.conftest import Exchange
from tests.clients.program import Reports, run_program

LEVEL1 = "/api/v1/market/orderbook/level1?symbol=BTC-USDT"


@pytest.fixture(scope="module")
def before(exchange: Exchange) -> dict[str, str]:
    ticker: dict[str, str] = exchange.get(LEVEL1)["data"]
    return ticker


@pytest.fixture(scope="module")
def reports(exchange: Exchange, before: object) -> Reports:
    return run_program("kucoin_universal_sdk", exchange.address)


def test_it_reads_time_status_symbols_and_currencies(reports: Reports) -> None:
    assert isinstance(reports.one("time"), int)
    assert reports.one("status")["status"] == "open"
    symbol = reports.one("symbol")
    assert (symbol["symbol"], symbol["priceIncrement"]) == ("BTC-USDT", "0.1")
    assert {"BTC", "USDT"} <= set(reports.one("currencies"))


def test_it_reads_the_prices_that_the_exchange_has(
    reports: Reports, before: dict[str, str]
) -> None:
    ticker = reports.one("ticker")
    assert {name: ticker[name] for name in before} == before
    everything = {each["symbol"]: each for each in reports.one("all tickers")}
    assert len(everything) == 634
    assert everything["BTC-USDT"]["last"] == before["price"]
    assert everything["BTC-USDT"]["buy"] == before["bestBid"]


def test_it_reads_its_rate_limit(reports: Reports) -> None:
    limit, remaining, reset = reports.one("rate limit")
    # Weights: the ticker that `before` requested, then time, status, symbol, currencies and a ticker.
    assert (limit, remaining) == (2000, 2000 - 2 - 3 - 3 - 4 - 3 - 2)
    assert 0 < reset <= 30_000


def test_it_raises_the_code_of_an_unknown_symbol(reports: Reports) -> None:
    assert reports.one("unknown symbol") == "900001"


def test_it_receives_the_topic_of_all_symbols(reports: Reports, exchange: Exchange) -> None:
    topic, subject, data = reports.one("all")
    assert topic == "/market/ticker:all"
    exchange.assert_sent("kucoin", frame(topic, subject, data))


def test_it_receives_the_topics_of_single_symbols(reports: Reports, exchange: Exchange) -> None:
    tickers = reports.of("one")
    assert {topic for topic, _, _ in tickers} == {
        "/market/ticker:BTC-USDT",
        "/market/ticker:ETH-USDT",
    }
    for topic, subject, data in tickers:
        assert subject == "trade.ticker"
        exchange.assert_sent("kucoin", frame(topic, subject, data))


def test_it_receives_an_error_for_an_unknown_symbol(reports: Reports) -> None:
    assert reports.one("refused") == ["TypeError", "exceptions must derive from BaseException"]


def frame(topic: str, subject: str, data: dict[str, object]) -> object:
    """Return the frame that a model of the library was made from."""
    own = {name: value for name, value in data.items() if name != "common_response"}
    return {"topic": topic, "type": "message", "subject": subject, "data": own}
