"""Create exchange clients with settings for tests, and collect the notices of their connections."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty
from threading import Event, Thread
from typing import Any, TypeVar

from exchanges.binance import BINANCE
from exchanges.exchange import Exchange, Received
from exchanges.kucoin import KUCOIN
from extractors.metrics import Metrics
from extractors.receive.backlog import Backlog
from extractors.receive.connection import stay_connected
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.notices import Frame, Notice
from tests.support.frames import RECEIVED_AT
from tests.support.waiting import DEADLINE, wait_for

NOWHERE = "127.0.0.1:9"

Kind = TypeVar("Kind")


def binance_client(
    ws_url: str = f"ws://{NOWHERE}",
    rest_url: str = f"http://{NOWHERE}",
    silence_limit: float = 10.0,
    age_limit: float = 3600.0,
    batch_seconds: float = 0.0,
    exchange: Exchange = BINANCE,
) -> ExchangeClient:
    """Return a client of Binance without its limit on attempts to connect."""
    return ExchangeClient(
        replace(exchange, connect_interval=0.0),
        {"ws": ws_url, "rest": rest_url},
        batch_seconds=batch_seconds,
        silence_limit=silence_limit,
        age_limit=age_limit,
    )


def kucoin_client(
    rest_url: str = f"http://{NOWHERE}",
    silence_limit: float = 15.0,
    age_limit: float = 3600.0,
    batch_seconds: float = 0.1,
) -> ExchangeClient:
    """Return a client of KuCoin without its limit on attempts to connect."""
    return ExchangeClient(
        replace(KUCOIN, connect_interval=0.0),
        {"rest": rest_url},
        batch_seconds=batch_seconds,
        silence_limit=silence_limit,
        age_limit=age_limit,
    )


class Notices:
    """Backlog of a client's connections, whose notices `get` returns one at a time."""

    def __init__(self, limit: int) -> None:
        self.backlog = Backlog(limit)
        self._taken: deque[Notice] = deque()

    def get(self, timeout: float = DEADLINE) -> Notice:
        """Return the next notice. Raise Empty if none arrives within the timeout."""
        if not self._taken:
            self._taken += self.backlog.take(timeout)
        if not self._taken:
            raise Empty
        return self._taken.popleft()


@contextmanager
def listening(client: ExchangeClient, limit: int = 1_000_000) -> Iterator[Notices]:
    """Keep the client connected for the block, and yield the notices of its connections."""
    notices = Notices(limit)
    stop = Event()
    metrics = Metrics(client.exchange.name)
    thread = Thread(target=stay_connected, args=(client, notices.backlog, stop, metrics, Event()))
    thread.start()
    try:
        yield notices
    finally:
        stop.set()
        wait_for(lambda: has_ended(thread, notices.backlog))


def has_ended(thread: Thread, backlog: Backlog) -> bool:
    """Return whether the thread has ended. Drain a full backlog, so that it can end."""
    if backlog.is_full:
        backlog.take(0.0)
    return not thread.is_alive()


def notices_until(notices: Notices, last: Callable[[Notice], bool]) -> list[Notice]:
    """Return the next notices, up to and including the first for which `last` is true."""
    received: list[Notice] = []
    while not received or not last(received[-1]):
        try:
            received.append(notices.get())
        except Empty:
            raise AssertionError(f"nothing more for {DEADLINE:g} s, but: {received}") from None
    return received


def next_of(notices: Notices, kind: type[Kind]) -> Kind:
    """Return the next notice of this kind and skip others."""
    [*_, notice] = notices_until(notices, lambda notice: isinstance(notice, kind))
    assert isinstance(notice, kind)
    return notice


def item_of(raw_data: Received) -> bytes:
    """Return the Kafka item of data received at RECEIVED_AT."""
    [item] = Frame(1, RECEIVED_AT, "exchange.example", [raw_data], size=0).items()
    return item


def tickers(frame: Frame) -> list[dict[str, Any]]:
    """Return the items of a frame without `received_at`, as the exchange sent them."""
    items = [json.loads(item) for item in frame.items()]
    return [{name: item[name] for name in item if name != "received_at"} for item in items]


def next_tickers(notices: Notices, frames: int = 1) -> list[dict[str, Any]]:
    """Return the tickers of the next frames."""
    return [ticker for _ in range(frames) for ticker in tickers(next_of(notices, Frame))]
