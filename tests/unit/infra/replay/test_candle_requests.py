"""Test both exchanges' candles by REST: their forms, spans, limits, errors and faults."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests

from infra.replay.faults.faults import CandlesBanned, CandlesChange, CandlesFail, CandlesUnknown
from infra.replay.server import Simulation
from tests.support.ledger import Ledger
from tests.support.replay_exchange import clear, inflict, running
from tests.support.waiting import DEADLINE, pass_time

HOUR, DAY = 3600, 86_400
START = (time.time() // HOUR - 3) * HOUR
"""Start of an hour that is over."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    # All tests run within one clock hour: without subscribers, the day's figures never move to the next.
    if (left := HOUR - time.time() % HOUR) < 30:
        pass_time(left)
    with running(*Simulation(binance_symbols=20).exchanges(Ledger())) as address:
        yield address


@pytest.fixture
def address(server: str) -> Iterator[str]:
    yield server
    for exchange in ("binance", "kucoin"):
        clear(server, exchange)


def binance(address: str, **query: Any) -> requests.Response:
    url = f"http://{address}/api/v3/klines"
    return requests.get(url, {"symbol": "BTCUSDT"} | query, timeout=DEADLINE)


def kucoin(address: str, **query: Any) -> requests.Response:
    url = f"http://{address}/api/v1/market/candles"
    return requests.get(url, {"symbol": "BTC-USDT"} | query, timeout=DEADLINE)


def hour_of_binance(address: str) -> list[list[Any]]:
    span = {"startTime": round(START * 1000), "endTime": round(START * 1000) + 3_599_999}
    found: list[list[Any]] = binance(address, interval="1m", **span).json()
    return found


def test_binances_candles_are_oldest_first_and_have_its_form(address: str) -> None:
    candles = hour_of_binance(address)
    assert [each[0] for each in candles] == [round(START + 60 * n) * 1000 for n in range(60)]
    for at, opened, high, low, close, base, until, quote, trades, *rest in candles:
        assert until == at + 59_999
        assert Decimal(low) <= min(Decimal(opened), Decimal(close))
        assert Decimal(high) >= max(Decimal(opened), Decimal(close))
        assert (Decimal(base) > 0) == (Decimal(quote) > 0) == (trades > 0)
        assert (len(rest), rest[-1], len(opened.partition(".")[2])) == (3, "0", 8)


def test_kucoins_candles_are_newest_first_with_the_close_before_high_and_low(address: str) -> None:
    answer = kucoin(address, type="1hour", startAt=round(START), endAt=round(START) + 3600).json()
    assert answer["code"] == "200000"
    [[at, opened, close, high, low, base, quote]] = answer["data"]
    assert at == str(round(START))
    prices = [*map(Decimal, (opened, close, high, low))]
    assert (min(prices), max(prices)) == (Decimal(low), Decimal(high))
    assert Decimal(quote) > Decimal(base) > 0
    minutes = kucoin(address, type="1min", startAt=round(START), endAt=round(START) + 3600).json()
    starts = [int(each[0]) for each in minutes["data"]]
    assert starts == sorted(starts, reverse=True)
    assert sum(Decimal(each[5]) for each in minutes["data"]) == Decimal(base)


def test_the_last_candles_close_is_the_price_and_the_days_figures_follow(address: str) -> None:
    hours = binance(address, interval="1h", limit=24).json()
    day = requests.get(
        f"http://{address}/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}, timeout=DEADLINE
    ).json()
    assert hours[-1][4] == day["lastPrice"]
    assert hours[0][1] == day["openPrice"]
    assert max(Decimal(each[2]) for each in hours) == Decimal(day["highPrice"])
    assert min(Decimal(each[3]) for each in hours) == Decimal(day["lowPrice"])
    assert sum(Decimal(each[5]) for each in hours) == Decimal(day["volume"])


@pytest.mark.parametrize(("asked", "count"), [("1500", 1000), ("7", 7), (None, 500)])
def test_binance_returns_up_to_a_limit(address: str, asked: str | None, count: int) -> None:
    query = {"limit": asked} if asked else {}
    assert len(binance(address, interval="1m", startTime=0, **query).json()) == 0
    long_ago = round(time.time() - 2 * DAY) * 1000
    assert len(binance(address, interval="1m", startTime=long_ago, **query).json()) == count


def test_kucoin_returns_up_to_1500(address: str) -> None:
    span = {"startAt": round(START - 30 * DAY), "endAt": round(START)}
    assert len(kucoin(address, type="1min", **span).json()["data"]) == 1500


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"symbol": "NONE"}, -1121),
        ({"symbol": ""}, -1105),
        ({"interval": "2m"}, -1120),
        ({"startTime": "now"}, -1100),
        ({"from": "1"}, -1104),
    ],
)
def test_binance_refuses_what_it_does_not_know(
    address: str, query: dict[str, str], code: int
) -> None:
    answer = binance(address, **({"interval": "1m"} | query))
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"symbol": "NONE"}, 200, "900001"),
        ({"type": "2min"}, 400, "400100"),
        ({"startAt": "now"}, 400, "400100"),
        ({"startAt": "9" * 5000}, 400, "400100"),
    ],
)
def test_kucoin_refuses_what_it_does_not_know(
    address: str, query: dict[str, str], status: int, code: str
) -> None:
    answer = kucoin(address, **({"type": "1min"} | query))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_faults_affect_the_next_requests(address: str) -> None:
    for exchange in ("binance", "kucoin"):
        inflict(address, exchange, CandlesFail(status=503))
        inflict(address, exchange, CandlesBanned(wait=2.0))
        inflict(address, exchange, CandlesUnknown())
    answers = [binance(address, interval="1m", limit=1) for _ in range(4)]
    assert [each.status_code for each in answers] == [503, 429, 400, 200]
    assert answers[1].headers["Retry-After"] == "2"
    answers = [kucoin(address, type="1min") for _ in range(4)]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (503, "500000"),
        (429, "429000"),
        (200, "900001"),
        (200, "200000"),
    ]


def test_finished_candles_can_change(address: str) -> None:
    before = hour_of_binance(address)
    inflict(address, "binance", CandlesChange())
    changed = hour_of_binance(address)
    assert [each[8] for each in changed] == [2 * each[8] for each in before]
    assert [each[:5] for each in changed] == [each[:5] for each in before]
    assert hour_of_binance(address) == before
