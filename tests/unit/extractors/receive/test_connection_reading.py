"""Test that each frame arrives once, whole and in order, however the server writes it."""

import json
from collections.abc import Iterable
from pathlib import Path
from queue import Empty, Queue
from ssl import SSLContext
from threading import Event
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from extractors.receive.notices import Ended, Frame, Notice
from extractors.receive.web_socket import READ_SIZE, closed
from infra.replay.encoding import encode_frames
from tests.support.exchange_clients import (
    binance_client,
    kucoin_client,
    listening,
    next_of,
    next_tickers,
    notices_until,
    tickers,
)
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT
from tests.support.loopback import (
    CLOSE_1001,
    Talk,
    aborts,
    certificate,
    kucoin,
    leaves,
    sends,
    server_tls,
    until_closed,
    websocket_server,
)
from tests.support.waiting import DEADLINE, pass_time, wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]

FULL = "backlog full, reading paused connection=1"

NUMBERED = [{**BTCUSDT, "E": number} for number in range(50)]


def websocket_frames(tickers: Iterable[object]) -> bytes:
    """Return each ticker as a frame of Binance."""
    return encode_frames(json.dumps([each]) for each in tickers)


def all_tickers(notices: Iterable[Notice]) -> list[dict[str, Any]]:
    """Return the tickers of all frames among the notices."""
    return [each for frame in notices if isinstance(frame, Frame) for each in tickers(frame)]


def test_frame_that_comes_in_pieces_with_pauses_arrives_whole() -> None:
    def slow(connection: ServerConnection) -> None:
        frame = encode_frames([json.dumps([BTCUSDT, ETHUSDT])])
        for piece in (frame[:3], frame[3:100], frame[100:]):
            connection.socket.sendall(piece)
            pass_time(0.3)  # longer than the thread waits for a frame
        until_closed(connection)

    with websocket_server(slow) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices) == [BTCUSDT, ETHUSDT]


def test_fragmented_and_binary_messages_are_read_like_others() -> None:
    def talk(connection: ServerConnection) -> None:
        text = json.dumps([BTCUSDT])
        connection.send([text[:20], text[20:]])
        connection.send(json.dumps([ETHUSDT]).encode())
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices, 2) == [BTCUSDT, ETHUSDT]


def test_bytes_that_are_no_utf8_are_kept_and_the_connection_goes_on() -> None:
    def talk(connection: ServerConnection) -> None:
        connection.send(b'[{"s":"\xff\xfe"}]', text=True)
        connection.send(json.dumps([BTCUSDT]))
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        first, second = next_of(notices, Frame), next_of(notices, Frame)
    assert (first.has_ticker, tickers(first)) == (False, [{"unreadable": '{"s":"\\xff\\xfe"}'}])
    assert (second.has_ticker, tickers(second)) == (True, [BTCUSDT])


def test_control_frames_make_no_notice() -> None:
    with kucoin(sends({"type": "pong", "id": "1"}, CRO_USDT)) as url:
        with listening(kucoin_client(url)) as notices:
            received = notices_until(notices, lambda notice: isinstance(notice, Frame))
    assert [type(notice).__name__ for notice in received] == ["Opening", "Opened", "Frame"]
    assert isinstance(received[-1], Frame) and tickers(received[-1]) == [CRO_USDT]


def test_connection_that_brings_tickers_is_kept() -> None:
    connections: list[ServerConnection] = []

    def steady(connection: ServerConnection) -> None:
        connections.append(connection)
        for _ in range(10):
            connection.send(json.dumps([BTCUSDT]))
            pass_time(0.5)
        until_closed(connection)

    with websocket_server(steady) as url:
        with listening(binance_client(url, silence_limit=4.0)) as notices:
            assert next_tickers(notices, 10) == [BTCUSDT] * 10
            assert len(connections) == 1


def test_kucoin_hears_a_ping_in_text_at_every_interval() -> None:
    heard: Queue[dict[str, str]] = Queue()

    def talk(connection: ServerConnection) -> None:
        for text in connection:
            heard.put(json.loads(text))

    with kucoin(talk, ping_interval=0.1) as url, listening(kucoin_client(url)):
        pings = [heard.get(timeout=DEADLINE) for _ in range(2)]
    assert [ping["type"] for ping in pings] == ["ping", "ping"]


def test_full_backlog_holds_the_reading_up_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with websocket_server(sends(*([each] for each in NUMBERED))) as url:
        with listening(binance_client(url), limit=2) as notices:
            wait_for(lambda: FULL in caplog.text)
            assert next_tickers(notices, 50) == NUMBERED
            with pytest.raises(Empty):
                notices.get(timeout=0.0)
    assert "backlog drained, reading resumed connection=1" in caplog.text


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def tls(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SSLContext | None:
    """Return a TLS context for the server, or None."""
    if not request.param:
        return None
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    return server_tls(pem)


class Burst:
    """Server that sends one text, then the others while the client's backlog is full; then it ends."""

    def __init__(self, texts: list[str], end: Talk, ping_every: int = 1_000) -> None:
        self._texts = texts
        self._end = end
        self._ping_every = ping_every
        self._is_held_up = Event()
        self._gone = Event()

    def talk(self, connection: ServerConnection) -> None:
        connection.send(self._texts[0])
        assert self._is_held_up.wait(DEADLINE)
        for number, text in enumerate(self._texts[1:]):
            connection.send(text)
            if number % self._ping_every == 2:
                connection.ping()
        self._end(connection)
        self._gone.set()

    def happens(self, caplog: pytest.LogCaptureFixture) -> None:
        """Return when the server has ended and only the first text was read."""
        wait_for(lambda: FULL in caplog.text)
        self._is_held_up.set()
        assert self._gone.wait(DEADLINE)


def test_the_time_for_which_a_full_backlog_holds_the_reading_up_is_no_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def closes(connection: ServerConnection) -> None:
        connection.socket.sendall(CLOSE_1001)

    burst = Burst([json.dumps([ticker]) for ticker in NUMBERED], closes)
    with websocket_server(burst.talk) as url:
        with listening(binance_client(url, silence_limit=3.0), limit=2) as notices:
            burst.happens(caplog)
            pass_time(4.0)
            received = notices_until(notices, lambda notice: isinstance(notice, Ended))
    assert all_tickers(received) == NUMBERED
    assert isinstance(received[-1], Ended) and received[-1].cause == "closed"


@pytest.mark.parametrize("end", [leaves, aborts])
def test_pongs_that_can_not_be_sent_hide_none_of_the_frames_that_came_before_the_end(
    end: Talk, tls: SSLContext | None, caplog: pytest.LogCaptureFixture
) -> None:
    burst = Burst([json.dumps([ticker]) for ticker in NUMBERED], end, ping_every=5)
    with websocket_server(burst.talk, tls=tls) as url:
        with listening(binance_client(url), limit=2) as notices:
            burst.happens(caplog)
            received = notices_until(notices, lambda notice: isinstance(notice, Ended))
    assert all_tickers(received) == NUMBERED
    assert isinstance(received[-1], Ended) and received[-1].cause == "broken"


def test_pings_in_text_that_can_not_be_sent_hide_no_frames_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbered = [{**CRO_USDT, "subject": f"S{number}"} for number in range(50)]
    burst = Burst([json.dumps(ticker) for ticker in numbered], aborts)
    with kucoin(burst.talk, ping_interval=0.001) as url:
        with listening(kucoin_client(url), limit=2) as notices:
            burst.happens(caplog)
            assert next_tickers(notices, 50) == numbered
            ended = next_of(notices, Ended)
    assert (ended.connection, ended.cause) == (1, "broken")
    assert "send failed connection=1" in caplog.text


def test_close_frame_is_heard_though_it_can_not_be_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def closes_and_aborts(connection: ServerConnection) -> None:
        connection.socket.sendall(CLOSE_1001)
        aborts(connection)

    burst = Burst([json.dumps([ticker]) for ticker in NUMBERED], closes_and_aborts)
    with websocket_server(burst.talk) as url:
        with listening(binance_client(url), limit=2) as notices:
            burst.happens(caplog)
            assert next_tickers(notices, 50) == NUMBERED
            ended = next_of(notices, Ended)
    assert (ended.cause, ended.reason) == ("closed", "closed: 1001")


def test_frames_that_come_in_one_packet_all_arrive_with_the_control_frames_between_them(
    tls: SSLContext | None,
) -> None:
    def talk(connection: ServerConnection) -> None:
        ping, pong = b"\x89\x02hi", b"\x8a\x00"
        between = [websocket_frames(NUMBERED[first : first + 10]) for first in range(0, 50, 10)]
        connection.socket.sendall(ping + pong.join(between) + ping)
        until_closed(connection)

    with websocket_server(talk, tls=tls) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices, 50) == NUMBERED


def test_pings_between_frames_are_answered() -> None:
    answered = Event()

    def talk(connection: ServerConnection) -> None:
        pongs = []
        for ticker in NUMBERED:
            connection.send(json.dumps([ticker]))
            pongs.append(connection.ping())
        if all(pong.wait(DEADLINE) for pong in pongs):
            answered.set()
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices, 50) == NUMBERED
        assert answered.wait(DEADLINE)


def test_frames_larger_than_one_read_arrive_and_so_do_those_around_them(
    tls: SSLContext | None,
) -> None:
    """The sizes are just below and above READ_SIZE, and ten times READ_SIZE."""
    sizes = [READ_SIZE + more for more in range(-300, 301, 100)] + [10 * READ_SIZE]
    padded = [
        each
        for number, size in enumerate(sizes)
        for each in (NUMBERED[number], {"s": "A", "pad": "x" * size, "E": number})
    ]

    def talk(connection: ServerConnection) -> None:
        connection.socket.sendall(websocket_frames([*padded, NUMBERED[0]]))
        until_closed(connection)

    with websocket_server(talk, tls=tls) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices, len(padded) + 1) == [*padded, NUMBERED[0]]


@pytest.mark.parametrize("cut", [1, 2, 3, 4], ids=lambda cut: f"{cut} bytes of it")
def test_close_frame_ends_the_connection_after_the_frames_of_its_packet_though_it_is_cut(
    cut: int,
) -> None:
    def talk(connection: ServerConnection) -> None:
        connection.socket.sendall(websocket_frames(NUMBERED) + CLOSE_1001[:cut])
        if cut < len(CLOSE_1001):
            pass_time(0.3)  # longer than the thread waits for a frame
            connection.socket.sendall(CLOSE_1001[cut:])
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        received = notices_until(notices, lambda notice: isinstance(notice, Ended))
    assert all_tickers(received) == NUMBERED
    assert isinstance(received[-1], Ended)
    assert (received[-1].cause, received[-1].reason) == ("closed", "closed: 1001")


def test_what_follows_a_close_frame_in_its_packet_is_not_read() -> None:
    def talk(connection: ServerConnection) -> None:
        first, second = websocket_frames(NUMBERED[:3]), websocket_frames(NUMBERED[3:])
        connection.socket.sendall(first + CLOSE_1001 + second)
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        received = notices_until(notices, lambda notice: isinstance(notice, Ended))
    assert all_tickers(received) == NUMBERED[:3]


def test_frames_before_an_error_frame_in_the_same_packet_are_kept() -> None:
    def talk(connection: ServerConnection) -> None:
        error = encode_frames(['{"error":{"code":2,"msg":"Invalid request"},"id":2}'])
        connection.socket.sendall(websocket_frames(NUMBERED) + error)
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_client(url)) as notices:
        assert next_tickers(notices, 50) == NUMBERED
        assert next_of(notices, Ended).cause == "error_2"


def test_the_reason_of_a_close_frame_is_one_line_without_control_characters() -> None:
    assert str(closed(b"\x03\xe9bye\0")) == "closed: 1001 bye"
