"""Test Binance's protocol on the replay exchange's server, with the libraries that clients use."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import websocket
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.faults.limits import BinanceLimits
from infra.replay.heartbeat import Heartbeat
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.kucoin.frames import KucoinUpdate
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import (
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)
from tests.support.replay_exchange import running
from tests.support.small_exchange import text_of, texts
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long

STREAM = "!miniTicker@arr"
FIELDS = ["e", "E", "s", "c", "o", "h", "l", "v", "q"]


def binance(period: float = 0.05, limits: BinanceLimits | None = None) -> Binance:
    """Return an exchange with a short period, so that tests need not wait for full seconds."""
    listing = binance_listing()
    pairs = binance_trading(listing, 300)
    coins = Coins(pairs, seed=1)
    market = Market(pairs, coins, seed=1, period=period, changed=0.6, traded=1, now=0)
    return Binance(SimulatedSource(market, BinanceUpdate), listing, pairs, limits)


def kucoin() -> Kucoin:
    """Return an exchange with one symbol, which is not used here."""
    listing = kucoin_listing()[:1]
    pairs = kucoin_trading(listing)
    market = Market(pairs, Coins(pairs, 1), seed=1, period=1, changed=1, traded=1, now=0)
    return Kucoin(SimulatedSource(market, KucoinUpdate), listing)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(binance(), kucoin()) as address:
        yield address


def array(client: ClientConnection) -> list[dict[str, Any]]:
    tickers = json.loads(text_of(client))
    assert isinstance(tickers, list)
    return tickers


def test_an_array_holds_the_tickers_that_changed_as_binance_prints_them(address: str) -> None:
    with connect(f"ws://{address}/ws/{STREAM}") as client:
        tickers = array(client)
    symbols = [ticker["s"] for ticker in tickers]
    assert 140 < len(symbols) < 220
    assert len(set(symbols)) == len(symbols)
    for ticker in tickers:
        assert list(ticker) == FIELDS
        assert ticker["e"] == "24hrMiniTicker"
        assert isinstance(ticker["E"], int)
        for amount in "cohlvq":
            assert re.fullmatch(r"(0|[1-9]\d*)\.\d{8}", ticker[amount]), ticker
        assert 0 < float(ticker["l"]) <= float(ticker["c"]) <= float(ticker["h"])
        assert float(ticker["v"]) > 0 < float(ticker["q"])


def test_every_item_has_its_own_time_and_they_are_not_sorted() -> None:
    with (
        running(binance(period=0.3), kucoin()) as address,
        connect(f"ws://{address}/ws/{STREAM}") as client,
    ):
        first, second = array(client), array(client)
    times = [ticker["E"] for ticker in first]
    assert times != sorted(times)
    # Items of a second are up to 900 ms apart; those of 300 ms, up to 270 ms.
    assert 200 < max(times) - min(times) <= 270
    earlier = {ticker["s"]: ticker["E"] for ticker in first}
    both = [t for t in second if t["s"] in earlier]
    assert len(both) > 40
    assert all(earlier[t["s"]] < t["E"] for t in both)


def test_prices_move(address: str) -> None:
    closes: dict[str, set[str]] = {}
    with connect(f"ws://{address}/ws/{STREAM}") as client:
        for _ in range(10):
            for ticker in array(client):
                closes.setdefault(ticker["s"], set()).add(ticker["c"])
    assert len(closes["BTCUSDT"]) > 1
    assert sum(len(prices) > 1 for prices in closes.values()) > 150


def test_symbols_that_are_not_ascii_travel_as_utf_8(address: str) -> None:
    with connect(f"ws://{address}/ws/{STREAM}") as client:
        text = next(text for text in texts(client) if '"s":"币安人生USDT"' in text)
    assert "\\u" not in text


def test_all_clients_get_the_same_arrays(address: str) -> None:
    url = f"ws://{address}/ws/{STREAM}"
    with connect(url) as one, connect(url) as other:
        of_other = other.recv(timeout=DEADLINE)
        assert next(text for text in texts(one) if text == of_other)
        assert [text_of(one) for _ in range(3)] == [text_of(other) for _ in range(3)]


def test_a_client_that_answers_pings_stays_connected() -> None:
    exchange = binance(limits=BinanceLimits(ping_interval=0.05, pong_timeout=3.0))
    with (
        running(exchange, kucoin()) as address,
        connect(f"ws://{address}/ws/{STREAM}") as client,
    ):
        # At 20 arrays per second this takes 4 s.
        for _ in range(80):
            array(client)


def test_a_client_without_pongs_is_closed_with_1008() -> None:
    exchange = binance(limits=BinanceLimits(ping_interval=0.05, pong_timeout=1.0))
    with running(exchange, kucoin()) as address:
        client: Any = websocket.create_connection(f"ws://{address}/ws/{STREAM}", timeout=DEADLINE)
        payloads = []
        # recv_frame sends no pongs.
        end = time.monotonic() + DEADLINE
        while (frame := client.recv_frame()).opcode != websocket.ABNF.OPCODE_CLOSE:
            assert time.monotonic() < end
            if frame.opcode == websocket.ABNF.OPCODE_PING:
                payloads.append(frame.data)
                client.pong("unsolicited")
        client.shutdown()
    assert frame.data == (1008).to_bytes(2, "big") + b"Pong timeout"
    assert len(set(payloads)) == len(payloads) >= 1


def test_pings_come_every_20_seconds_and_the_client_is_lost_after_60_without_a_pong() -> None:
    heartbeat = Heartbeat(20, 60, now=100)
    assert heartbeat.due() == 120
    for now in (120, 140, 160):
        heartbeat.ping(str(now).encode(), now)
    assert heartbeat.due() == 180
    assert not heartbeat.is_lost(179)
    assert heartbeat.is_lost(180)


def test_after_a_late_ping_the_next_one_has_its_full_interval() -> None:
    heartbeat = Heartbeat(20, 60, now=100)
    heartbeat.ping(b"1", now=165)
    assert heartbeat.due() == 185


def test_only_a_pong_with_the_payload_of_a_ping_counts() -> None:
    heartbeat = Heartbeat(20, 60, now=0)
    heartbeat.ping(b"1", 20)
    heartbeat.pong(b"")
    assert heartbeat.is_lost(80)
    heartbeat.pong(b"1")
    assert not heartbeat.is_lost(80)


def test_pongs_that_come_late_answer_their_own_pings() -> None:
    heartbeat = Heartbeat(20, 60, now=0)
    for now in (20, 40, 60):
        heartbeat.ping(str(now).encode(), now)
    assert heartbeat.pong(b"40")
    assert not heartbeat.pong(b"20"), "a later pong has answered it"
    assert not heartbeat.is_lost(119)
    assert heartbeat.is_lost(120)
    assert heartbeat.pong(b"60")
    assert not heartbeat.is_lost(120)


def test_a_shutdown_is_announced_before_the_connection_is_closed() -> None:
    with ExitStack() as stack:
        with running(binance(), kucoin()) as address:
            client = stack.enter_context(connect(f"ws://{address}/ws/{STREAM}"))
            array(client)
        with pytest.raises(ConnectionClosedOK) as closed:
            for text in texts(client):
                last = text
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    message = json.loads(last)
    assert message["e"] == "serverShutdown"
    assert isinstance(message["E"], int)
