"""Test KuCoin's REST answers, weights and errors."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from infra.replay.server import Simulation
from tests.support.ledger import Ledger
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import SUBSCRIBE, text_of
from tests.support.waiting import DEADLINE


@pytest.fixture(scope="module")
def address(ledger: Ledger) -> Iterator[str]:
    with running(*Simulation(binance_symbols=1).exchanges(ledger)) as address:
        yield address


def get(address: str, path: str, **parameters: str) -> requests.Response:
    return requests.get(f"http://{address}/api/{path}", params=parameters, timeout=DEADLINE)


def data(address: str, path: str, **parameters: str) -> Any:
    answer = get(address, path, **parameters).json()
    assert answer["code"] == "200000"
    return answer["data"]


def test_the_time_is_a_whole_number_and_the_status_is_open(address: str) -> None:
    assert isinstance(data(address, "v1/timestamp"), int)
    assert data(address, "v1/status") == {"status": "open", "msg": ""}


def test_the_symbols_are_the_same_in_both_versions_and_one_by_one(address: str) -> None:
    symbols = data(address, "v2/symbols")
    assert data(address, "v1/symbols") == symbols
    assert len(symbols) == 634
    assert data(address, "v2/symbols/BTC-USDT") in symbols
    renamed = data(address, "v2/symbols/BCHSV-USDT")
    assert [renamed[name] for name in ("name", "baseCurrency", "quoteCurrency")] == [
        "BSV-USDT",
        "BSV",
        "USDT",
    ]
    assert data(address, "v2/symbols/ZEL-BTC")["enableTrading"] is False
    market = data(address, "v2/symbols", market="KCS")
    assert market == [symbol for symbol in symbols if symbol["market"] == "KCS"]
    assert 0 < len(market) < 634


def test_the_currencies_are_those_of_the_symbols(address: str) -> None:
    symbols = data(address, "v2/symbols")
    codes = [each["currency"] for each in data(address, "v3/currencies")]
    assert set(codes) == {
        symbol[side] for symbol in symbols for side in ("baseCurrency", "quoteCurrency")
    }
    assert len(set(codes)) == len(codes)


def test_prices_are_those_that_the_topic_sent(address: str, ledger: Ledger) -> None:
    with connect(kucoin_url(address), max_queue=None) as client:
        client.send(SUBSCRIBE)
        for _ in range(1000):
            text_of(client)
        client.send(json.dumps({**json.loads(SUBSCRIBE), "id": "2", "type": "unsubscribe"}))
        while json.loads(text_of(client)).get("id") != "2":
            pass
    # Without a subscription, the market is paused.
    sent: dict[str, dict[str, Any]] = {}
    for frame in ledger.connections("kucoin")[-1].frames:
        message = json.loads(frame.text or "")
        sent[message["subject"]] = message["data"]
    tickers = {each["symbol"]: each for each in data(address, "v1/market/allTickers")["ticker"]}
    assert set(tickers) == set(sent)
    names = {
        "last": "price",
        "buy": "bestBid",
        "sell": "bestAsk",
        "bestBidSize": "bestBidSize",
        "bestAskSize": "bestAskSize",
    }
    for number, (symbol, ticker) in enumerate(tickers.items()):
        state = data(address, "v1/market/orderbook/level1", symbol=symbol) if number < 5 else None
        for name, field in names.items():
            assert ticker[name] == sent[symbol][field]
        assert state is None or state == sent[symbol]


def test_the_figures_of_a_day_fit_together(address: str) -> None:
    stats = data(address, "v1/market/stats", symbol="BTC-USDT")
    last, change = float(stats["last"]), float(stats["changePrice"])
    assert float(stats["changeRate"]) == pytest.approx(change / (last - change), abs=1e-4)
    assert float(stats["low"]) <= last <= float(stats["high"])
    mean = float(stats["volValue"]) / float(stats["vol"])
    assert float(stats["averagePrice"]) == pytest.approx(mean)
    everything = data(address, "v1/market/allTickers")["ticker"]
    (ticker,) = [each for each in everything if each["symbol"] == "BTC-USDT"]
    assert {name: stats[name] for name in stats if name != "time"} == {
        name: value for name, value in ticker.items() if name in stats
    }


def test_a_renamed_symbol_has_its_new_name(address: str) -> None:
    everything = data(address, "v1/market/allTickers")["ticker"]
    (ticker,) = [each for each in everything if each["symbol"] == "BCHSV-USDT"]
    assert ticker["symbolName"] == "BSV-USDT"


@pytest.mark.parametrize(
    ("path", "parameters", "status", "code", "problem"),
    [
        ("v1/market/orderbook/level1", {}, 400, "400100", "Invalid Parameter."),
        ("v1/market/stats", {"symbol": ""}, 400, "400100", "Invalid Parameter."),
        ("v1/market/stats", {"symbol": "NO-SUCH"}, 200, "900001", "symbol not exists"),
        ("v2/symbols/NO-SUCH", {}, 200, "900001", "symbol not exists"),
        ("v1/nothing", {}, 404, "404000", "Url Not Found"),
        ("v2/nothing", {}, 404, "404000", "Url Not Found"),
        ("v1/bullet-public", {}, 404, "404000", "Url Not Found"),
    ],
)
def test_a_wrong_request_is_answered_by_kucoins_code(
    address: str, path: str, parameters: dict[str, str], status: int, code: str, problem: str
) -> None:
    answer = get(address, path, **parameters)
    assert answer.status_code == status
    assert answer.json() == {"code": code, "msg": problem}


def test_the_weight_that_was_used_adds_up() -> None:
    with running(*Simulation(binance_symbols=1).exchanges()) as address:
        left = [
            get(address, path).headers["gw-ratelimit-remaining"]
            for path in ("v1/timestamp", "v1/symbols", "v1/market/allTickers")
        ]
        bullet = requests.post(f"http://{address}/api/v1/bullet-public", timeout=DEADLINE)
    assert left == ["1997", "1993", "1978"]
    assert bullet.headers["gw-ratelimit-limit"] == "2000"
    assert bullet.headers["gw-ratelimit-remaining"] == "1968"
    assert 0 < int(bullet.headers["gw-ratelimit-reset"]) <= 30_000
