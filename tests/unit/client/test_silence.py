"""Test clients of servers that send nothing, or take long to send one message."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from crypto_prices import AsyncPrices, Connected, Event, Prices
from crypto_prices.silence import LONGEST, SILENCE_LIMIT, Silence, next_limit
from websockets.sync.server import ServerConnection

from server.streams.message import Message
from tests.support.loopback import websocket_server
from tests.support.waiting import pass_time

LIMIT = 1.0
"""Replacement for SILENCE_LIMIT, in seconds."""

TO_SEND = 1.5 * LIMIT
"""Seconds that each frame of the slow server takes."""

NO_PRICES = "no prices in 2 s: connected, but no prices have arrived"

ROW = {"exchange": "binance", "symbol": "BTCUSDT", "price": "1"}
SNAPSHOT = {
    **{"type": "snapshot", "id": "e-1", "previous": None, "time": "2025-03-28T07:37:28Z"},
    **{"skipped": 0, "interruptions": [], "prices": [ROW]},
}
CHANGES = SNAPSHOT | {
    **{"type": "changes", "id": "e-2", "previous": "e-1"},
    "prices": [ROW | {"price": "2"}],
}


def test_the_limit_follows_the_last_wait() -> None:
    assert next_limit(0.0) == next_limit(SILENCE_LIMIT / 2) == SILENCE_LIMIT
    assert next_limit(SILENCE_LIMIT) == 2 * SILENCE_LIMIT
    assert next_limit(LONGEST) == LONGEST


def test_a_wait_counts_whether_a_message_ends_it_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 20.0, 20.0, 60.0, 60.0, 61.0, 61.0, 61.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    silence = Silence()
    with silence.wait() as first:
        pass
    with pytest.raises(TimeoutError), silence.wait() as second:
        raise TimeoutError
    with silence.wait() as third:
        pass

    assert [first, second, third] == [SILENCE_LIMIT, 40.0, 80.0]
    with silence.wait() as last:
        assert last == SILENCE_LIMIT


def silent(connection: ServerConnection) -> None:
    """Accept the connection and send nothing."""
    with connection:
        connection.wait_closed()


def quick(connection: ServerConnection) -> None:
    """Send one message and nothing else."""
    connection.send(json.dumps(SNAPSHOT))
    silent(connection)


def slow(connection: ServerConnection) -> None:
    """Send a snapshot and changes, each in small pieces."""
    with suppress(OSError):
        for message in (SNAPSHOT, CHANGES):
            frame = Message(None, json.dumps(message)).frame
            pieces = [frame[at : at + 10] for at in range(0, len(frame), 10)]
            for piece in pieces:
                connection.socket.sendall(piece)
                pass_time(TO_SEND / len(pieces))
        silent(connection)


@pytest.fixture
def silent_server() -> Iterator[str]:
    with websocket_server(silent) as url:
        yield url


@pytest.fixture
def slow_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("crypto_prices.silence.SILENCE_LIMIT", LIMIT)
    with websocket_server(slow) as url:
        yield url


@pytest.mark.long
def test_messages_that_take_longer_than_the_limit_arrive(slow_server: str) -> None:
    events: list[Event] = []
    with Prices(slow_server, on_event=events.append, open_timeout=60) as prices:
        assert [next(prices).price, next(prices).price] == [1, 2]
    # Both on one connection.
    assert events.count(Connected(resumed=False)) == 1


@pytest.mark.long
def test_messages_that_take_longer_than_the_limit_arrive_with_asyncio(slow_server: str) -> None:
    events: list[Event] = []

    async def follow() -> None:
        async with AsyncPrices(slow_server, on_event=events.append, open_timeout=60) as prices:
            assert [(await anext(prices)).price, (await anext(prices)).price] == [1, 2]

    asyncio.run(follow())
    assert events.count(Connected(resumed=False)) == 1


@pytest.mark.long
def test_an_open_connection_without_prices_is_named(silent_server: str) -> None:
    async def follow() -> None:
        with pytest.raises(ConnectionError, match=NO_PRICES):
            await AsyncPrices(silent_server, open_timeout=2).__aenter__()

    with pytest.raises(ConnectionError, match=NO_PRICES):
        Prices(silent_server, open_timeout=2).__enter__()
    asyncio.run(follow())


def test_opening_that_is_cancelled_leaves_no_task(silent_server: str) -> None:
    async def open_and_cancel() -> set[asyncio.Task[Any]]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), AsyncPrices(silent_server):
                pass
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(open_and_cancel()) == set()


def test_a_caller_that_is_cancelled_while_it_closes_ends() -> None:
    async def cancel_close(url: str) -> bool:
        async with AsyncPrices(url) as prices:
            closing = asyncio.create_task(prices.close())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait({closing})
            with pytest.raises(StopAsyncIteration):
                while True:
                    await anext(prices)
        return closing.cancelled()

    with websocket_server(quick) as url:
        assert asyncio.run(cancel_close(url))


def test_opening_that_is_interrupted_leaves_no_thread(
    silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    prices = Prices(silent_server)
    monkeypatch.setattr("threading.Condition.wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prices.__enter__()

    assert "crypto prices" not in {thread.name for thread in threading.enumerate()}
