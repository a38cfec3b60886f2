"""Test rotation: a new connection replaces the old one, and each ticker is kept once."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from extractors.receive.duplicates import Duplicates
from extractors.receive.notices import Ended, Frame, Notice, Opened, Opening
from tests.support.exchange_clients import binance_client, kucoin_client, listening, notices_until
from tests.support.frames import BTCUSDT, CRO_USDT
from tests.support.loopback import (
    Talk,
    kucoin,
    on_connections,
    sends,
    token_of,
    websocket_server,
)
from tests.support.slow_link import slow_link
from tests.support.waiting import DEADLINE, pass_time

pytestmark = [pytest.mark.independent, pytest.mark.long]

OVERLAP = 0.3
AGE_LIMIT = 2.0
"""Long enough for the old connection to end before the new one is replaced in turn."""

SHUTDOWN = json.dumps({"e": "serverShutdown", "E": 1743147448467})


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.receive.connection.OVERLAP", OVERLAP)
    monkeypatch.setattr("extractors.receive.backoff.FIRST_CEILING", 0.02)


class Market:
    """Exchange that sends a hundred numbered tickers a second, the same ones on each connection."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def number(self) -> int:
        return int((time.monotonic() - self._started) * 100)

    def steady(self, connection: ServerConnection) -> None:
        """Send every ticker from now on, until the connection ends."""
        sent = self.number()
        with suppress(ConnectionClosed):
            while True:
                for number in range(sent + 1, self.number() + 1):
                    connection.send(json.dumps([{**BTCUSDT, "E": number}]))
                    sent = number
                pass_time(0.01)

    def shutting_down(self, connection: ServerConnection) -> None:
        """Do the same, after announcing that the connection will end."""
        connection.send(SHUTDOWN)
        self.steady(connection)


def has_ended(connection: int) -> Callable[[Notice], bool]:
    return lambda notice: isinstance(notice, Ended) and notice.connection == connection


def frames(seen: list[Notice], connection: int) -> list[Frame]:
    return [each for each in seen if isinstance(each, Frame) and each.connection == connection]


def connections(seen: list[Notice], kind: type[Opening | Opened | Ended]) -> list[int]:
    return [each.connection for each in seen if isinstance(each, kind)]


def produced(seen: list[Notice]) -> list[int]:
    """Return the numbers of the tickers that go to Kafka."""
    doubles, numbers = Duplicates(), list[int]()
    for notice in seen:
        match notice:
            case Opening():
                doubles.opening(notice)
            case Ended():
                doubles.ended(notice)
            case Frame():
                numbers += [each.sequence or 0 for each in doubles.without(notice).raw_data]
    return numbers


def assert_no_gap(numbers: Iterable[int]) -> None:
    """Raise AssertionError if a number is missing between the smallest and the largest, or is repeated."""
    ordered = sorted(numbers)
    assert ordered == list(range(ordered[0], ordered[-1] + 1))


@pytest.mark.parametrize(
    ("reason", "age_limit"),
    [("serverShutdown", 3600.0), (f"age: {AGE_LIMIT:g} s", AGE_LIMIT)],
    ids=["shutdown", "age"],
)
def test_old_connection_ends_when_data_has_flowed_on_the_new_one_and_nothing_is_missed(
    reason: str, age_limit: float
) -> None:
    market = Market()
    first = market.shutting_down if reason == "serverShutdown" else market.steady
    with websocket_server(on_connections(first, market.steady)) as url:
        with listening(binance_client(url, age_limit=age_limit)) as notices:
            seen = notices_until(notices, has_ended(1))
    ended = seen[-1]
    assert isinstance(ended, Ended)
    assert (ended.cause, ended.reason, ended.is_final) == ("rotated", f"rotated: {reason}", False)
    assert connections(seen, Opened)[:2] == [1, 2]
    assert 2 not in connections(seen, Ended)
    overlap = (ended.at - frames(seen, 2)[0].at) / 1e6
    assert OVERLAP <= overlap < OVERLAP + 9.0
    last_of_the_old = (frames(seen, 1)[-1].at - frames(seen, 2)[0].at) / 1e6
    assert last_of_the_old > 0
    assert_no_gap(produced(seen))


def test_old_connection_that_lags_by_more_than_the_overlap_is_read_to_its_end() -> None:
    market = Market()
    lag = 2.5 * OVERLAP
    with websocket_server(on_connections(market.shutting_down, market.steady)) as url:
        with slow_link(int(url.rpartition(":")[2]), lag) as port:
            with listening(binance_client(f"ws://127.0.0.1:{port}")) as notices:
                seen = notices_until(notices, has_ended(1))
    ended = seen[-1]
    assert isinstance(ended, Ended) and ended.cause == "rotated"
    first_of_the_new = frames(seen, 2)[0].raw_data[0].sequence or 0
    assert (frames(seen, 1)[-1].raw_data[0].sequence or 0) > first_of_the_new
    assert_no_gap(produced(seen))


def test_connection_is_replaced_once_for_many_announcements(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    market = Market()

    def announces(connection: ServerConnection) -> None:
        for _ in range(5):
            connection.send(SHUTDOWN)
        market.steady(connection)

    with websocket_server(on_connections(announces, market.steady)) as url:
        with listening(binance_client(url)) as notices:
            seen = notices_until(notices, has_ended(1))
            seen += notices_until(notices, lambda notice: isinstance(notice, Frame))
    assert connections(seen, Opening) == [1, 2]
    assert caplog.text.count("replacement requested connection=1 reason='serverShutdown'") == 1


def closes(connection: ServerConnection) -> None:
    connection.close(1012, "restarting")


def closes_after_a_ticker(connection: ServerConnection) -> None:
    connection.send(json.dumps([BTCUSDT]))
    closes(connection)


@pytest.mark.parametrize("fails", [closes, closes_after_a_ticker])
def test_old_connection_stays_until_a_new_one_holds(
    fails: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A new connection ends before the overlap is over, however busy the machine.
    monkeypatch.setattr("extractors.receive.connection.OVERLAP", 2.0)
    market = Market()
    with websocket_server(on_connections(market.shutting_down, fails, fails, market.steady)) as url:
        with listening(binance_client(url)) as notices:
            seen = notices_until(notices, has_ended(1))
    assert connections(seen, Ended) == [2, 3, 1]
    assert connections(seen, Opened) == [1, 2, 3, 4]
    assert [each.reason for each in seen if isinstance(each, Ended)] == [
        "closed: 1012 restarting",
        "closed: 1012 restarting",
        "rotated: serverShutdown",
    ]
    assert_no_gap(number for number in produced(seen) if number != BTCUSDT["E"])


def test_old_connection_that_the_exchange_closes_meanwhile_leaves_the_work_to_the_new_one() -> None:
    market = Market()
    new_is_open, old_is_closed = Event(), Event()

    def old(connection: ServerConnection) -> None:
        connection.send(json.dumps([{**BTCUSDT, "E": 1}]))
        connection.send(SHUTDOWN)
        new_is_open.wait(DEADLINE)
        connection.close(1001, "going away")
        old_is_closed.set()

    def new(connection: ServerConnection) -> None:
        new_is_open.set()
        old_is_closed.wait(DEADLINE)
        market.steady(connection)

    with websocket_server(on_connections(old, new)) as url:
        with listening(binance_client(url)) as notices:
            seen = notices_until(notices, has_ended(1))
            while len(frames(seen, 2)) < 50:
                seen.append(notices.get(timeout=DEADLINE))
    assert [each.reason for each in seen if isinstance(each, Ended)] == ["closed: 1001 going away"]
    assert connections(seen, Opening) == [1, 2]


def steady_kucoin(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            connection.send(json.dumps(CRO_USDT))
            pass_time(0.02)


def refuses(code: int) -> Talk:
    return sends({"id": "1", "type": "error", "code": code, "data": "topic does not exist"})


def test_topic_that_is_refused_during_a_rotation_is_tried_again_while_the_old_one_goes_on() -> None:
    talk = on_connections(steady_kucoin, refuses(404), refuses(400), steady_kucoin)
    with kucoin(talk) as url, listening(kucoin_client(url, age_limit=AGE_LIMIT)) as notices:
        seen = notices_until(notices, has_ended(1))
    ended = [each for each in seen if isinstance(each, Ended)]
    assert [(each.connection, each.cause, each.is_final) for each in ended] == [
        (2, "error_404", False),
        (3, "error_400", False),
        (1, "rotated", False),
    ]
    for refused in ended[:2]:
        assert frames(seen[seen.index(refused) :], 1)
    assert frames(seen, 4)


def test_new_kucoin_connection_has_a_token_of_its_own() -> None:
    tokens: list[str] = []

    def talk(connection: ServerConnection) -> None:
        tokens.append(token_of(connection))
        steady_kucoin(connection)

    with kucoin(talk) as url, listening(kucoin_client(url, age_limit=AGE_LIMIT)) as notices:
        seen = notices_until(notices, has_ended(1))
        assert tokens[:2] == ["secret/1", "secret/2"]
    assert isinstance(seen[-1], Ended) and seen[-1].cause == "rotated"
