"""Build a replay exchange with few symbols, and connect clients to it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.kucoin.frames import KucoinUpdate
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import binance_listing, kucoin_listing, kucoin_trading
from infra.replay.server import KUCOIN_PARTS
from infra.replay.source import now_ms
from tests.support.ledger import Identity, Ledger, Written
from tests.support.replay_exchange import kucoin_url
from tests.support.waiting import DEADLINE, wait_for

EXCHANGES = ["binance", "kucoin"]
SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'
STREAM = "/ws/!miniTicker@arr"


def exchanges(
    ledger: Ledger, binance: BinanceLimits | None = None, kucoin: KucoinLimits | None = None
) -> tuple[Binance, Kucoin]:
    """Return exchanges with 20 symbols each, with 50 arrays and 400 frames per second."""
    now = now_ms()
    symbols = binance_listing()[:20]
    arrays = Market(symbols, Coins(symbols, 1), seed=1, period=0.02, changed=1, traded=1, now=now)
    listing = kucoin_listing()[:20]
    pairs = kucoin_trading(listing)
    frames = Market(pairs, Coins(pairs, 1), seed=1, period=0.05, changed=1, traded=1, now=now)
    return (
        Binance(SimulatedSource(arrays, BinanceUpdate), symbols, symbols, binance, ledger),
        Kucoin(SimulatedSource(frames, KucoinUpdate, KUCOIN_PARTS), listing, kucoin, ledger),
    )


def text_of(client: ClientConnection) -> str:
    return client.recv(timeout=DEADLINE, decode=True)


def texts(client: ClientConnection) -> Iterator[str]:
    """Yield arriving texts.

    Raise AssertionError if they still arrive after the deadline, TimeoutError if none arrives for as long.
    """
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        yield text_of(client)
    raise AssertionError(f"still receiving after {DEADLINE:g} s")


def is_data(exchange: str, text: str) -> bool:
    frame = json.loads(text)
    return isinstance(frame, list) if exchange == "binance" else frame["type"] == "message"


def url_of(address: str, exchange: str) -> str:
    return f"ws://{address}{STREAM}" if exchange == "binance" else kucoin_url(address)


@contextmanager
def subscribed(address: str, exchange: str, **options: Any) -> Iterator[ClientConnection]:
    """Yield a subscribed client, which receives only data from here on."""
    with connect(url_of(address, exchange), max_queue=None, **options) as client:
        if exchange == "kucoin":
            assert json.loads(text_of(client)) == {"id": "c1", "type": "welcome"}
            client.send(SUBSCRIBE)
            assert json.loads(text_of(client)) == {"id": "1", "type": "ack"}
        yield client


def until_the_end(client: ClientConnection) -> tuple[list[str], ConnectionClosed]:
    """Return the texts until the connection closes, and the exception that tells why it closed."""
    received = []
    try:
        for text in texts(client):
            received.append(text)
    except ConnectionClosed as closed:
        return received, closed
    raise AssertionError("unreachable: texts() does not end")


def last_of(ledger: Ledger, exchange: str) -> Written:
    """Return the newest connection; wait until there is one."""
    return wait_for(lambda: ledger.connections(exchange))[-1]


def ended(ledger: Ledger, exchange: str) -> Written:
    return wait_for(lambda: last_of(ledger, exchange), lambda last: last.ending is not None)


def texts_of(written: Written) -> list[str | None]:
    return [frame.text for frame in written.frames]


def identities(written: Written) -> list[Identity]:
    return [identity for frame in written.frames for identity in frame.identities]
