"""A replay exchange of few symbols, and clients that look at what it does."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import (
    ConnectionClosed,
)
from websockets.sync.client import ClientConnection, connect

from infra.exchange.binance import Binance
from infra.exchange.binance_frames import mini_ticker_array
from infra.exchange.coins import Coins
from infra.exchange.kucoin import Kucoin
from infra.exchange.kucoin_frames import tickers
from infra.exchange.limits import BinanceLimits, KucoinLimits
from infra.exchange.market import Market
from infra.exchange.server import KUCOIN_PARTS
from infra.exchange.simulated_feed import SimulatedFeed
from infra.exchange.symbols import binance_listing, kucoin_listing, kucoin_trading
from tests.ledger import Identity, Ledger, Written
from tests.replay_exchange import kucoin_url

EXCHANGES = ["binance", "kucoin"]
SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'
STREAM = "/ws/!miniTicker@arr"


def exchanges(
    ledger: Ledger, binance: BinanceLimits | None = None, kucoin: KucoinLimits | None = None
) -> tuple[Binance, Kucoin]:
    """Of 20 symbols, with 50 arrays and 400 frames a second."""
    symbols = binance_listing()[:20]
    arrays = Market(symbols, Coins(symbols, 1), seed=1, period=0.02, changed=1, traded=1, now=0)
    listing = kucoin_listing()[:20]
    pairs = kucoin_trading(listing)
    frames = Market(pairs, Coins(pairs, 1), seed=1, period=0.05, changed=1, traded=1, now=0)
    return (
        Binance(SimulatedFeed(arrays, mini_ticker_array), symbols, symbols, binance, ledger),
        Kucoin(SimulatedFeed(frames, tickers, KUCOIN_PARTS), listing, kucoin, ledger),
    )


def text_of(client: ClientConnection) -> str:
    return client.recv(timeout=5, decode=True)


def is_data(exchange: str, text: str) -> bool:
    frame = json.loads(text)
    return isinstance(frame, list) if exchange == "binance" else frame["type"] == "message"


def url_of(address: str, exchange: str) -> str:
    return f"ws://{address}{STREAM}" if exchange == "binance" else kucoin_url(address)


@contextmanager
def subscribed(address: str, exchange: str, **options: Any) -> Iterator[ClientConnection]:
    """A client to which nothing comes any more but data."""
    with connect(url_of(address, exchange), max_queue=None, **options) as client:
        if exchange == "kucoin":
            assert json.loads(text_of(client)) == {"id": "c1", "type": "welcome"}
            client.send(SUBSCRIBE)
            assert json.loads(text_of(client)) == {"id": "1", "type": "ack"}
        yield client


def until_the_end(client: ClientConnection) -> tuple[list[str], ConnectionClosed]:
    texts = []
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            texts.append(text_of(client))
    except ConnectionClosed as closed:
        return texts, closed
    raise AssertionError("the connection did not end")


def last_of(ledger: Ledger, exchange: str) -> Written:
    return ledger.connections(exchange)[-1]


def ended(ledger: Ledger, exchange: str) -> Written:
    wait_until(lambda: last_of(ledger, exchange).ending is not None)
    return last_of(ledger, exchange)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def texts_of(written: Written) -> list[str | None]:
    return [frame.text for frame in written.frames]


def identities(written: Written) -> list[Identity]:
    return [identity for frame in written.frames for identity in frame.identities]
