"""Test Binance's REST answers, weights and errors."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from infra.replay.binance.rest import day_weight
from infra.replay.server import Simulation
from tests.support.ledger import Ledger
from tests.support.replay_exchange import running
from tests.support.small_exchange import text_of
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def address(ledger: Ledger) -> Iterator[str]:
    with running(*Simulation(binance_symbols=300).exchanges(ledger)) as address:
        yield address


def get(address: str, path: str, **parameters: str) -> requests.Response:
    return requests.get(f"http://{address}/api/v3/{path}", params=parameters, timeout=DEADLINE)


def test_ping_is_an_empty_object_and_time_has_the_server_time(address: str) -> None:
    assert get(address, "ping").json() == {}
    assert list(get(address, "time").json()) == ["serverTime"]


def test_exchange_info_has_base_quote_and_what_trades(address: str) -> None:
    info = get(address, "exchangeInfo").json()
    assert info["timezone"] == "UTC"
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    assert info["rateLimits"][0] == {**weight, "limit": 6000}
    symbols = {symbol["symbol"]: symbol for symbol in info["symbols"]}
    assert len(symbols) == 3651
    assert [symbols["币安人生USDT"][name] for name in ("status", "baseAsset", "quoteAsset")] == [
        "TRADING",
        "币安人生",
        "USDT",
    ]
    assert (symbols["ADAEUR"]["baseAsset"], symbols["ADAEUR"]["quoteAsset"]) == ("ADA", "EUR")
    assert symbols["BTCBUSD"]["status"] == "BREAK"
    assert sum(symbol["status"] == "TRADING" for symbol in info["symbols"]) == 300


def test_exchange_info_has_the_steps_of_prices_and_sizes(address: str) -> None:
    (symbol,) = get(address, "exchangeInfo", symbol="BTCUSDT").json()["symbols"]
    asked = {"symbol": "BTCUSDT", "showPermissionSets": "false"}
    (shorter,) = get(address, "exchangeInfo", **asked).json()["symbols"]
    assert symbol["permissionSets"] == [["SPOT"]]
    assert shorter == {**symbol, "permissionSets": []}
    price, size = symbol["filters"]
    assert (price["filterType"], price["tickSize"]) == ("PRICE_FILTER", "0.01000000")
    assert (size["filterType"], size["stepSize"]) == ("LOT_SIZE", "0.00001000")


def test_exchange_info_of_several_symbols_keeps_their_order(address: str) -> None:
    symbols = json.dumps(["ETHUSDT", "BTCUSDT"])
    answer = get(address, "exchangeInfo", symbols=symbols).json()
    assert [symbol["symbol"] for symbol in answer["symbols"]] == ["ETHUSDT", "BTCUSDT"]


def test_the_tickers_of_a_day_are_those_that_the_stream_sent(address: str) -> None:
    with connect(f"ws://{address}/ws/!miniTicker@arr") as client:
        sent = {ticker["s"]: ticker for ticker in json.loads(text_of(client))}
    # Without a subscription, the market is paused.
    state = {each["symbol"]: each for each in get(address, "ticker/24hr").json()}
    assert len(state) == 300
    same = [symbol for symbol, ticker in sent.items() if state[symbol]["closeTime"] == ticker["E"]]
    assert len(same) > 50
    for symbol in same[:6]:
        ticker, day = sent[symbol], state[symbol]
        names = {"o": "openPrice", "h": "highPrice", "l": "lowPrice", "c": "lastPrice"}
        for letter, name in (names | {"v": "volume", "q": "quoteVolume"}).items():
            assert day[name] == ticker[letter]
        assert day["closeTime"] - day["openTime"] == 24 * 3600 * 1000
        price = get(address, "ticker/price", symbol=symbol).json()
        assert price == {"symbol": symbol, "price": ticker["c"]}


def test_the_best_bid_and_ask_are_those_that_the_stream_sent(address: str, ledger: Ledger) -> None:
    with connect(f"ws://{address}/ws/btcusdt@bookTicker") as client:
        text_of(client)
    sent = [json.loads(frame.text or "") for frame in ledger.connections("binance")[-1].frames]
    book = get(address, "ticker/bookTicker", symbol="BTCUSDT").json()
    assert [book[name] for name in ("bidPrice", "bidQty", "askPrice", "askQty")] in [
        [each[letter] for letter in "bBaA"] for each in sent
    ]


def test_the_change_of_a_day_is_that_from_open_to_last(address: str) -> None:
    day = get(address, "ticker/24hr", symbol="BTCUSDT").json()
    change = float(day["lastPrice"]) - float(day["openPrice"])
    assert float(day["priceChange"]) == pytest.approx(change)
    percent = 100 * change / float(day["openPrice"])
    assert float(day["priceChangePercent"]) == pytest.approx(percent, abs=0.001)
    mean = float(day["quoteVolume"]) / float(day["volume"])
    assert float(day["weightedAvgPrice"]) == pytest.approx(mean)


def test_mini_tickers_have_no_bid_and_no_ask(address: str) -> None:
    symbols = json.dumps(["BTCUSDT", "ETHUSDT"])
    first, second = get(address, "ticker/24hr", symbols=symbols, type="MINI").json()
    assert (first["symbol"], second["symbol"]) == ("BTCUSDT", "ETHUSDT")
    assert not {"bidPrice", "askPrice"} & (first.keys() | second.keys())


def test_a_listed_symbol_that_does_not_trade_has_zeros(address: str) -> None:
    day = get(address, "ticker/24hr", symbol="BTCBUSD").json()
    assert (day["symbol"], day["lastPrice"], day["count"]) == ("BTCBUSD", "0.00000000", 0)


@pytest.mark.parametrize(
    ("path", "parameters", "code", "problem"),
    [
        ("ticker/24hr", {"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        ("exchangeInfo", {"symbols": '["BTCUSDT","NOSUCH"]'}, -1121, "Invalid symbol."),
        ("ticker/price", {"symbol": "btcusdt"}, -1100, "Illegal characters found in parameter"),
        ("ticker/price", {"symbols": "BTCUSDT"}, -1100, "'symbols'; legal range is"),
        ("ticker/price", {"symbols": '"BTCUSDT"'}, -1100, "Illegal characters"),
        ("ticker/price", {"symbols": "[1]"}, -1100, "Illegal characters"),
        ("ticker/price", {"symbols": "[" * 2500}, -1100, "Illegal characters"),
        ("ticker/price", {"symbols": f"[{'9' * 5000}]"}, -1100, "Illegal characters"),
        (
            "klines",
            {"symbol": "BTCUSDT", "interval": "1m", "limit": "9" * 5000},
            -1100,
            "Illegal characters found in parameter 'limit'.",
        ),
        ("ticker/price", {"symbol": ""}, -1105, "Parameter 'symbol' was empty."),
        ("ticker/price", {"symbols": '["A","A"]'}, -1151, "present multiple times"),
        ("ticker/price", {"symbol": "A", "symbols": '["B"]'}, -1128, "Combination of optional"),
        ("ticker/24hr", {"type": "HUGE"}, -1139, "Invalid ticker type."),
        ("ping", {"x": "1"}, -1101, "Too many parameters; expected '0' and received '1'."),
        (
            "ticker/24hr",
            {"x": "1", "type": "FULL"},
            -1104,
            "read '1' parameter(s) but was sent '2'",
        ),
    ],
)
def test_a_wrong_request_is_answered_by_binances_code(
    address: str, path: str, parameters: dict[str, str], code: int, problem: str
) -> None:
    answer = get(address, path, **parameters)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert problem in answer.json()["msg"]


def test_an_unknown_path_is_no_json(address: str) -> None:
    answer = get(address, "nothing")
    assert answer.status_code == 404
    assert answer.text == "<html><body><h2>404 Not found</h2></body></html>"


def test_the_weight_that_was_used_adds_up() -> None:
    with running(*Simulation(binance_symbols=1).exchanges()) as address:
        used = [
            get(address, path, **parameters).headers["X-MBX-USED-WEIGHT-1M"]
            for path, parameters in (
                ("ping", {}),
                ("exchangeInfo", {"symbol": "BTCUSDT"}),
                ("ticker/24hr", {"symbol": "NOSUCH"}),
                ("ticker/price", {}),
                ("ticker/24hr", {}),
            )
        ]
    assert used == ["1", "21", "23", "27", "107"]


class Request:
    def __init__(self, **query: str) -> None:
        self.query = query


@pytest.mark.parametrize(("count", "weight"), [(1, 2), (20, 2), (21, 40), (100, 40), (101, 80)])
def test_the_weight_of_a_days_tickers_grows_with_the_symbols(count: int, weight: int) -> None:
    request: Any = Request(symbols=json.dumps([f"S{number}" for number in range(count)]))
    assert day_weight(request) == weight
