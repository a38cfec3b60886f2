"""Test why connections and attempts to connect end, and how the next attempt reacts."""

import json
import struct
import time
from contextlib import suppress
from threading import Event

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from exchanges.exchange import ConfigurationError, ExchangeError
from extractors.metrics import Metrics
from extractors.receive.backlog import Backlog
from extractors.receive.connection import Connection
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.notices import Ended, Frame, Notice, Opened, Opening
from tests.support.exchange_clients import binance_client, kucoin_client, tickers
from tests.support.frames import BTCUSDT
from tests.support.loopback import (
    Talk,
    aborts,
    http_server,
    kucoin,
    kucoin_from_its_welcome,
    sends,
    until_closed,
    websocket_server,
)
from tests.support.waiting import pass_time, wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]

TICKER = json.dumps([BTCUSDT])
RESET = "broken: ConnectionResetError: [Errno 104] Connection reset by peer"


def notices_and_error(client: ExchangeClient) -> tuple[list[Notice], ExchangeError]:
    """Return the notices of one connection, and the error that ended it."""
    backlog = Backlog(1_000)
    connection = Connection(1, client, backlog, Event(), Metrics(client.exchange.name), [], Event())
    connection.start()
    wait_for(connection.is_alive, lambda is_alive: not is_alive)
    assert connection.error is not None
    seen = backlog.take(0.0)
    [ended] = [notice for notice in seen if isinstance(notice, Ended)]
    is_final = isinstance(connection.error, ConfigurationError)
    assert ended == seen[-1]
    assert ended == Ended(1, ended.at, connection.error.cause, str(connection.error), is_final)
    return seen, connection.error


def end_of(client: ExchangeClient) -> ExchangeError:
    return notices_and_error(client)[1]


def after_a_ticker(end: Talk) -> Talk:
    def talk(connection: ServerConnection) -> None:
        connection.send(TICKER)
        end(connection)

    return talk


def closes(connection: ServerConnection) -> None:
    connection.close(1001, "going away")


def closes_without_a_word(connection: ServerConnection) -> None:
    connection.socket.sendall(b"\x88\x00")


def sends_half_a_frame(connection: ServerConnection) -> None:
    connection.socket.sendall(struct.pack("!BBH", 0x81, 126, 1000) + b"[" * 500)
    aborts(connection)


@pytest.mark.parametrize(
    ("end", "cause", "reason", "at_once"),
    [
        (closes, "closed", "closed: 1001 going away", True),
        (closes_without_a_word, "closed", "closed", True),
        (aborts, "broken", RESET, False),
        (sends_half_a_frame, "broken", RESET, False),
        (
            sends({"error": {"code": 2, "msg": "Invalid request"}, "id": 2}),
            "error_2",
            "error_2: Invalid request",
            False,
        ),
    ],
    ids=["close frame", "close frame without code", "abort", "half a frame", "error"],
)
def test_end_that_the_exchange_made_is_named_and_its_frames_are_kept(
    end: Talk, cause: str, reason: str, at_once: bool
) -> None:
    with websocket_server(after_a_ticker(end)) as url:
        seen, error = notices_and_error(binance_client(url))
    assert (error.cause, str(error)) == (cause, reason)
    assert (error.at_once, error.retry_after) == (at_once, 0.0)
    assert [type(notice) for notice in seen] == [Opening, Opened, Frame, Ended]
    assert isinstance(seen[2], Frame) and tickers(seen[2]) == [BTCUSDT]


@pytest.mark.parametrize(
    ("code", "at_once", "retry_after"), [(401, True, 0.0), (404, False, 0.0), (509, False, 10.0)]
)
def test_error_frame_of_kucoin_ends_the_connection_as_its_code_says(
    code: int, at_once: bool, retry_after: float
) -> None:
    with kucoin(sends({"type": "error", "code": code, "data": "no"})) as url:
        error = end_of(kucoin_client(url))
    assert (error.cause, str(error)) == (f"error_{code}", f"error_{code}: no")
    assert (error.at_once, error.retry_after) == (at_once, retry_after)
    assert isinstance(error, ConfigurationError) == (code == 404)


def pings(connection: ServerConnection) -> None:
    connection.ping().wait(0.1)


def talks_of_other_things(connection: ServerConnection) -> None:
    connection.send('{"result":null,"id":1}')
    connection.send("no ticker either")
    pass_time(0.02)


def for_ever(say: Talk) -> Talk:
    def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                say(connection)

    return talk


@pytest.mark.parametrize(
    "talk",
    [
        until_closed,
        for_ever(pings),
        for_ever(talks_of_other_things),
        after_a_ticker(until_closed),
        after_a_ticker(for_ever(pings)),
    ],
    ids=["nothing", "pings", "other things", "one ticker", "one ticker and pings"],
)
def test_connection_without_tickers_is_silent_however_lively_it_is(talk: Talk) -> None:
    with websocket_server(talk) as url:
        started = time.monotonic()
        error = end_of(binance_client(url, silence_limit=0.3))
        lasted = time.monotonic() - started
    assert (error.cause, str(error)) == ("silence", "silence: no ticker for 0.3 s")
    assert (error.at_once, error.retry_after) == (True, 0.0)
    # Less than Binance's default limit.
    assert 0.3 <= lasted < 10.0


def test_refused_handshake_is_an_attempt_that_never_opened() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(429, "")
        response.headers["Retry-After"] = "7"
        return response

    with websocket_server(until_closed, refuse) as url:
        seen, error = notices_and_error(binance_client(url))
    assert (error.cause, str(error)) == ("refused", "refused: handshake answered 429")
    assert (error.at_once, error.retry_after) == (False, 7.0)
    assert [type(notice) for notice in seen] == [Opening, Ended]


@pytest.mark.parametrize("client", [binance_client(), kucoin_client()], ids=["binance", "kucoin"])
def test_port_where_nobody_listens_is_unreachable(client: ExchangeClient) -> None:
    seen, error = notices_and_error(client)
    assert error.cause == "unreachable"
    assert "Connection refused" in str(error)
    assert (error.at_once, error.retry_after) == (False, 0.0)
    assert [type(notice) for notice in seen] == [Opening, Ended]


def test_refused_bullet_is_an_attempt_that_never_opened() -> None:
    with http_server(lambda: "", status=429, headers={"gw-ratelimit-reset": "14000"}) as url:
        seen, error = notices_and_error(kucoin_client(url))
    assert (error.cause, str(error)) == (
        "refused",
        "refused: /api/v1/bullet-public answered 429",
    )
    assert error.retry_after == 14.0
    assert [type(notice) for notice in seen] == [Opening, Ended]


@pytest.mark.parametrize(
    ("talk", "awaited"),
    [(until_closed, "welcome"), (sends({"id": "1", "type": "welcome"}), "ack")],
    ids=["welcome", "ack"],
)
def test_answer_of_kucoin_that_never_comes_is_waited_for_within_its_limit(
    talk: Talk, awaited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchanges.kucoin.SUBSCRIPTION_LIMIT", 2.0)
    with kucoin_from_its_welcome(talk) as url:
        error = end_of(kucoin_client(url))
    assert (error.cause, str(error)) == ("unanswered", f"unanswered: no {awaited} within 2 s")
    assert (error.at_once, error.retry_after) == (False, 0.0)
