"""Test KuCoin's protocol on the replay exchange's server, with a client of the library websockets."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.faults.limits import KucoinLimits
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.kucoin.frames import KucoinUpdate
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import binance_listing, kucoin_listing, kucoin_trading
from infra.replay.server import KUCOIN_PARTS
from tests.support.ledger import Ledger
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import ended, text_of, texts
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long

SUBSCRIBE = {"id": "1", "type": "subscribe", "topic": "/market/ticker:all", "response": True}
UNSUBSCRIBE = SUBSCRIBE | {"id": "2", "type": "unsubscribe"}
FIELDS = ["bestAsk", "bestAskSize", "bestBid", "bestBidSize", "price", "sequence", "size", "time"]


def binance() -> Binance:
    """Return an exchange with one symbol, which is not used here."""
    listing = binance_listing()[:1]
    coins = Coins(listing, seed=1)
    market = Market(listing, coins, seed=1, period=1, changed=1, traded=1, now=0)
    return Binance(SimulatedSource(market, BinanceUpdate), listing, listing)


def kucoin(limits: KucoinLimits | None = None) -> Kucoin:
    """Return an exchange with 2,000 frames per second."""
    listing = kucoin_listing()
    pairs = kucoin_trading(listing)
    market = Market(
        pairs, Coins(pairs, seed=1), seed=1, period=0.1, changed=200 / 634, traded=0.02, now=0
    )
    return Kucoin(SimulatedSource(market, KucoinUpdate, KUCOIN_PARTS), listing, limits)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(binance(), kucoin()) as address:
        yield address


def small_socket(address: str) -> socket.socket:
    """Return a socket with a small kernel buffer, so that a slow reader soon blocks the server."""
    host, _, port = address.partition(":")
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    small.connect((host, int(port)))
    return small


def message(client: ClientConnection) -> dict[str, Any]:
    received: dict[str, Any] = json.loads(text_of(client))
    return received


@contextmanager
def client_of(address: str, connect_id: str = "c1") -> Iterator[ClientConnection]:
    """Yield a client that reads ahead without limit, so that unread frames do not delay its close."""
    with connect(kucoin_url(address, connect_id), max_queue=None) as client:
        yield client


def subscribe(client: ClientConnection) -> list[dict[str, Any]]:
    """Subscribe, check welcome and ack, and return the burst."""
    assert message(client)["type"] == "welcome"
    client.send(json.dumps(SUBSCRIBE))
    assert message(client) == {"id": "1", "type": "ack"}
    return [message(client) for _ in range(634)]


def test_nothing_comes_between_the_welcome_and_a_subscription(address: str) -> None:
    with client_of(address, "mine") as client:
        assert message(client) == {"id": "mine", "type": "welcome"}
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_a_subscription_is_acknowledged_and_begins_with_every_symbol_once(address: str) -> None:
    with client_of(address) as client:
        burst = subscribe(client)
    assert {frame["subject"] for frame in burst} == {s["symbol"] for s in kucoin_listing()}
    for frame in burst:
        assert list(frame) == ["topic", "type", "subject", "data"]
        assert (frame["topic"], frame["type"]) == ("/market/ticker:all", "message")
        assert list(frame["data"]) == FIELDS


def test_amounts_are_texts_with_no_zeros_at_the_end_and_within_the_increment(address: str) -> None:
    decimals = {
        listed["symbol"]: len(listed["priceIncrement"].partition(".")[2])
        for listed in kucoin_listing()
    }
    with client_of(address) as client:
        for frame in subscribe(client):
            data = frame["data"]
            assert isinstance(data["time"], int)
            assert data["sequence"].isdigit()
            for field in ("bestAsk", "bestAskSize", "bestBid", "bestBidSize", "price", "size"):
                assert re.fullmatch(r"(0|[1-9]\d*)(\.\d*[1-9])?", data[field]), frame
            assert len(data["price"].partition(".")[2]) <= decimals[frame["subject"]]
            assert 0 < float(data["bestBid"]) < float(data["bestAsk"])


def test_the_firehose_keeps_its_rate_its_order_and_its_distance(address: str) -> None:
    with client_of(address) as client:
        began = time.monotonic()
        state = {frame["subject"]: frame["data"] for frame in subscribe(client)}
        frames = [message(client) for _ in range(1000)]
        # A busy machine may take longer, but no frame is sent early.
        assert time.monotonic() - began > 0.4
    prices = 0
    per_symbol: dict[str, int] = {}
    for frame in frames:
        subject, data = frame["subject"], frame["data"]
        before = state[subject]
        assert 1 <= int(data["sequence"]) - int(before["sequence"]) <= 33
        if data["price"] != before["price"]:
            prices += 1
            assert data["time"] > before["time"]
        state[subject] = data
        per_symbol[subject] = per_symbol.get(subject, 0) + 1
    # Two frames in a hundred are trades.
    assert 0 < prices < 0.06 * len(frames)
    # 1,000 frames are about five periods; a busy symbol has a frame in almost every one.
    assert 4 <= max(per_symbol.values()) <= 7


def test_all_clients_get_the_same_frames(address: str) -> None:
    with client_of(address) as one, client_of(address) as other:
        subscribe(one)
        subscribe(other)
        of_other = other.recv(timeout=DEADLINE)
        assert next(text for text in texts(one) if text == of_other)
        assert [one.recv(timeout=DEADLINE) for _ in range(200)] == [
            other.recv(timeout=DEADLINE) for _ in range(200)
        ]


def test_after_unsubscribing_no_more_frames_come(address: str) -> None:
    with client_of(address) as client:
        subscribe(client)
        client.send(json.dumps(UNSUBSCRIBE))
        assert next(text for text in texts(client) if text == '{"id":"2","type":"ack"}')
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_a_subscription_without_response_is_not_acknowledged(address: str) -> None:
    with client_of(address) as client:
        message(client)
        client.send(json.dumps(SUBSCRIBE | {"response": False}))
        assert message(client)["type"] == "message"


def test_a_ping_is_answered_with_its_id_and_the_time_in_microseconds(address: str) -> None:
    with client_of(address) as client:
        message(client)
        client.send('{"id":"1545910590801","type":"ping"}')
        pong = message(client)
    assert list(pong) == ["id", "type", "timestamp"]
    assert (pong["id"], pong["type"]) == ("1545910590801", "pong")
    assert pong["timestamp"] == pytest.approx(time.time_ns() // 1000, abs=60_000_000)


def test_a_protocol_ping_is_answered_too(address: str) -> None:
    with client_of(address) as client:
        assert client.ping().wait(timeout=DEADLINE)


@pytest.mark.parametrize(
    ("command", "command_id", "code", "problem"),
    [
        ({**SUBSCRIBE, "topic": "/market/nothing:all"}, "1", 404, "topic does not exist"),
        ({**SUBSCRIBE, "topic": "market"}, "1", 400, "topic market is invalid"),
        ({**SUBSCRIBE, "topic": ""}, "1", 406, "topic is required"),
        ({"id": 5, "type": "unsubscribe"}, "5", 406, "topic is required"),
        ({"id": "1", "type": "sing"}, "1", 415, "command type is invalid"),
        ({}, "c1", 415, "command type is invalid"),
        ([], "c1", 415, "command type is invalid"),
    ],
)
def test_a_command_that_can_not_be_met_is_answered_by_an_error(
    address: str, command: object, command_id: str, code: int, problem: str
) -> None:
    with client_of(address) as client:
        message(client)
        client.send(json.dumps(command))
        error = {"id": command_id, "type": "error", "code": code, "data": problem}
        assert message(client) == error


def test_what_is_not_json_is_answered_by_an_error(address: str) -> None:
    with client_of(address) as client:
        message(client)
        client.send("what")
        assert message(client)["code"] == 415


def test_a_client_that_sends_no_text_is_cut_while_data_still_flows() -> None:
    with (
        running(binance(), kucoin(KucoinLimits(silence_timeout=3.0))) as address,
        connect(kucoin_url(address), ping_interval=0.05) as client,
    ):
        # Taken before the last text to the exchange, from which it measures the silence.
        began, last = time.monotonic(), ""
        subscribe(client)
        # Protocol pings and binary frames continue, and do not count.
        with pytest.raises(ConnectionClosedOK):
            for text in texts(client):
                last = text
                # Data sent before the close must still be read.
                with suppress(ConnectionClosedOK):
                    client.send(b"binary")
    assert last == '{"id":"c1","type":"error","code":400,"data":"ping timeout"}'
    assert time.monotonic() - began >= 3.0


def test_a_client_that_sends_its_ping_in_time_is_not_cut() -> None:
    with (
        running(binance(), kucoin(KucoinLimits(silence_timeout=3.0))) as address,
        client_of(address) as client,
    ):
        message(client)
        for ping in range(6):
            client.send(json.dumps({"id": str(ping), "type": "ping"}))
            assert message(client)["id"] == str(ping)
            with pytest.raises(TimeoutError):
                client.recv(timeout=0.6)


def test_a_client_that_reads_too_slowly_is_cut() -> None:
    pairs = kucoin_trading(kucoin_listing())
    # 63,400 frames per second fill the backlog quickly.
    market = Market(pairs, Coins(pairs, 1), seed=1, period=0.01, changed=1, traded=0, now=0)
    ledger = Ledger()
    source = SimulatedSource(market, KucoinUpdate, KUCOIN_PARTS)
    exchange = Kucoin(source, kucoin_listing(), observer=ledger)
    with (
        running(binance(), exchange) as address,
        connect(kucoin_url(address), sock=small_socket(address), max_queue=1) as client,
    ):
        client.send(json.dumps(SUBSCRIBE))
        ended(ledger, "kucoin")
        with pytest.raises(ConnectionClosedError):
            for _ in texts(client):
                pass
