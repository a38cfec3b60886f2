"""Test connections against real servers on loopback: what they read, and what follows their end."""

import json
import logging
import time
from dataclasses import replace
from queue import Empty

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from core.message import received_at_of
from exchanges.binance import BINANCE, BinanceSession
from exchanges.exchange import Addresses, Asking, Endpoint, Exchange
from extractors.receive.notices import Ended, Frame, Listing, Opened, Opening
from infra.replay.encoding import encode_frames
from tests.support.exchange_clients import (
    binance_client,
    kucoin_client,
    listening,
    next_of,
    next_tickers,
    notices_until,
)
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT
from tests.support.loopback import (
    CLOSE_1001,
    aborts,
    http_server,
    kucoin,
    on_connections,
    sends,
    token_of,
    until_closed,
    websocket_server,
)
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make failures be retried within a second."""
    monkeypatch.setattr("extractors.receive.backoff.FIRST_CEILING", 0.02)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pauses longer than a test's deadline: only immediate retries happen in a test."""
    monkeypatch.setattr("extractors.receive.backoff.FIRST_CEILING", 100_000.0)
    monkeypatch.setattr("extractors.receive.backoff.LAST_CEILING", 100_000.0)


def test_frames_come_in_order_with_their_host_their_time_and_their_size() -> None:
    with websocket_server(sends([BTCUSDT], [ETHUSDT, {**BTCUSDT, "s": "币"}])) as url:
        before = time.time_ns() // 1000
        with listening(binance_client(url)) as notices:
            first, second = (next_of(notices, Frame) for _ in range(2))
        after = time.time_ns() // 1000
    assert [first.endpoint, second.endpoint] == ["127.0.0.1", "127.0.0.1"]
    assert [each.symbol for each in first.raw_data] == ["BTCUSDT"]
    assert [each.symbol for each in second.raw_data] == ["ETHUSDT", "币"]
    assert first.size == len(json.dumps([BTCUSDT]).encode())
    assert [received_at_of(each) for each in second.items()] == [second.at, second.at]
    assert before <= first.at <= second.at <= after


def closes(connection: ServerConnection) -> None:
    connection.send(json.dumps([BTCUSDT]))
    connection.close(1001, "going away")


def breaks_off(connection: ServerConnection) -> None:
    connection.send(json.dumps([BTCUSDT]))
    aborts(connection)


@pytest.mark.usefixtures("hasty")
def test_the_notices_of_each_connection_are_in_order() -> None:
    with websocket_server(on_connections(breaks_off, closes, sends([ETHUSDT]))) as url:
        with listening(binance_client(url)) as notices:
            received = notices_until(
                notices, lambda each: isinstance(each, Frame) and each.connection == 3
            )
        received += notices_until(notices, lambda each: isinstance(each, Ended))
    assert [
        (type(each), each.connection) for each in received if not isinstance(each, Listing)
    ] == [
        *((kind, 1) for kind in (Opening, Opened, Frame, Ended)),
        *((kind, 2) for kind in (Opening, Opened, Frame, Ended)),
        *((kind, 3) for kind in (Opening, Opened, Frame, Ended)),
    ]
    assert [each.cause for each in received if isinstance(each, Ended)] == [
        "broken",
        "closed",
        "stopped",
    ]
    assert [each.endpoint for each in received if isinstance(each, Opened)] == ["127.0.0.1"] * 3
    assert [each.at for each in received] == sorted(each.at for each in received)


@pytest.mark.usefixtures("unhurried")
def test_connection_that_was_closed_is_followed_at_once() -> None:
    with websocket_server(on_connections(closes, sends([ETHUSDT]))) as url:
        with listening(binance_client(url)) as notices:
            assert next_tickers(notices, 2) == [BTCUSDT, ETHUSDT]


@pytest.mark.usefixtures("unhurried")
def test_handshake_that_is_refused_with_401_is_tried_again_at_once_and_shows_no_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = iter([401])

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        for status in refusals:
            return connection.respond(status, f"not with {request.path}")
        return None

    with caplog.at_level(logging.DEBUG), websocket_server(sends([BTCUSDT]), refuse) as url:
        with listening(binance_client(f"{url}/?token=secret")) as notices:
            assert next_tickers(notices) == [BTCUSDT]
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("extractors")]
    assert "handshake answered 401" in " ".join(ours)
    assert not [message for message in ours if "secret" in message]


@pytest.mark.usefixtures("unhurried")
def test_each_kucoin_connection_has_a_token_of_its_own_and_no_log_shows_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens: list[str] = []

    def talk(connection: ServerConnection) -> None:
        tokens.append(token_of(connection))
        sends(CRO_USDT)(connection) if len(tokens) > 1 else closes(connection)

    with caplog.at_level(logging.DEBUG), kucoin(talk) as url:
        with listening(kucoin_client(url)) as notices:
            wait_for(lambda: next_tickers(notices) == [CRO_USDT])
    assert tokens == ["secret/1", "secret/2"]
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("extractors")]
    assert any(message.startswith("connection ended connection=1") for message in ours)
    assert not [message for message in ours if "secret" in message]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("code", "problem"), [(404, "topic does not exist"), (400, "topic is invalid")]
)
def test_topic_that_the_exchange_does_not_know_ends_all_attempts(code: int, problem: str) -> None:
    error = {"id": "1", "type": "error", "code": code, "data": problem}
    with kucoin(sends(error)) as url, listening(kucoin_client(url)) as notices:
        ended = next_of(notices, Ended)
        assert (ended.cause, ended.reason) == (f"error_{code}", f"error_{code}: {problem}")
        assert ended.is_final
        with pytest.raises(Empty):
            notices.get(timeout=0.3)


@pytest.mark.usefixtures("hasty")
def test_topic_that_has_worked_is_tried_again_though_the_exchange_does_not_know_it() -> None:
    def works(connection: ServerConnection) -> None:
        # In one packet: the end of the connection comes with its only ticker.
        connection.socket.sendall(encode_frames([json.dumps(CRO_USDT)]) + CLOSE_1001)
        until_closed(connection)

    error = {"id": "1", "type": "error", "code": 404, "data": "topic does not exist"}
    talk = on_connections(works, sends(error), sends(error), sends(CRO_USDT))
    with kucoin(talk) as url, listening(kucoin_client(url)) as notices:
        received = notices_until(
            notices, lambda each: isinstance(each, Frame) and each.connection == 4
        )
    ended = [each for each in received if isinstance(each, Ended)]
    assert [each.cause for each in ended] == ["closed", "error_404", "error_404"]
    assert [each.is_final for each in ended] == [False, False, False]


class BrokenSession(BinanceSession):
    def due(self, now: float) -> list[str]:
        raise LookupError("a fault of our own")


def once_broken() -> Exchange:
    """Return Binance whose first session fails with an unexpected error."""
    sessions = iter([BrokenSession()])

    def endpoint(addresses: Addresses) -> Asking[Endpoint]:
        endpoint = yield from BINANCE.endpoint(addresses)
        return replace(endpoint, session=lambda now: next(sessions, BinanceSession()))

    return replace(BINANCE, endpoint=endpoint)


@pytest.mark.usefixtures("hasty")
def test_fault_of_our_own_is_logged_with_its_traceback_and_another_connection_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with websocket_server(sends([BTCUSDT])) as url:
        with listening(binance_client(url, exchange=once_broken())) as notices:
            ended = next_of(notices, Ended)
            assert next_tickers(notices) == [BTCUSDT]
    assert (ended.cause, ended.is_final) == ("failed", False)
    assert ended.reason == "failed: LookupError('a fault of our own')"
    assert "Traceback" in caplog.text
    assert 'raise LookupError("a fault of our own")' in caplog.text


def test_stop_says_goodbye_to_the_exchange() -> None:
    goodbyes: list[int | None] = []

    def talk(connection: ServerConnection) -> None:
        sends([BTCUSDT])(connection)
        goodbyes.append(connection.close_code)

    with websocket_server(talk) as url:
        with listening(binance_client(url)) as notices:
            next_of(notices, Frame)
        ended = next_of(notices, Ended)
        wait_for(lambda: bool(goodbyes))
    assert (ended.cause, ended.reason, ended.is_final) == ("stopped", "stopped", False)
    assert goodbyes == [1000]


def test_pause_that_the_exchange_demands_is_kept_until_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests: list[None] = []

    def answer() -> str:
        requests.append(None)
        return ""

    caplog.set_level(logging.INFO)
    with http_server(answer, status=429, headers={"gw-ratelimit-reset": "60000"}) as url:
        with listening(kucoin_client(url)):
            wait_for(lambda: "connecting again connection=2 in=60.0" in caplog.text)
            stopped = time.monotonic()
        # Far less than the minute that the exchange demanded.
        assert time.monotonic() - stopped < 30
    assert len(requests) == 1
