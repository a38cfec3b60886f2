"""Whatever way a server writes its frames, each arrives once, whole and in order."""

import json
import struct
from pathlib import Path
from queue import Empty, Queue
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event

import pytest
from websockets.sync.server import ServerConnection

from extractors.notices import Ended, Frame
from tests.support.feeds import (
    binance_feed,
    kucoin_feed,
    listening,
    next_of,
    next_tickers,
    tickers,
    told_until,
)
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT
from tests.support.loopback import (
    Talk,
    aborts,
    certificate,
    kucoin,
    leaves,
    sends,
    until_closed,
    websocket_server,
)
from tests.support.waiting import DEADLINE, pass_time, wait_for

pytestmark = pytest.mark.independent


def websocket_frame(payload: bytes) -> bytes:
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


def test_frame_that_comes_in_pieces_with_pauses_arrives_whole() -> None:
    def slow(connection: ServerConnection) -> None:
        text = websocket_frame(json.dumps([BTCUSDT, ETHUSDT]).encode())
        for piece in (text[:3], text[3:100], text[100:]):
            connection.socket.sendall(piece)
            pass_time(0.3)  # longer than the thread waits for a frame
        until_closed(connection)

    with websocket_server(slow) as url, listening(binance_feed(url)) as notices:
        assert next_tickers(notices) == [BTCUSDT, ETHUSDT]


def test_fragmented_and_binary_messages_are_read_like_others() -> None:
    def talk(connection: ServerConnection) -> None:
        text = json.dumps([BTCUSDT])
        connection.send([text[:20], text[20:]])
        connection.send(json.dumps([ETHUSDT]).encode())
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_feed(url)) as notices:
        assert next_tickers(notices, 2) == [BTCUSDT, ETHUSDT]


def test_bytes_that_are_no_utf8_are_kept_and_the_connection_goes_on() -> None:
    def talk(connection: ServerConnection) -> None:
        connection.socket.sendall(websocket_frame(b'[{"s":"\xff\xfe"}]'))
        connection.send(json.dumps([BTCUSDT]))
        until_closed(connection)

    with websocket_server(talk) as url, listening(binance_feed(url)) as notices:
        first, second = next_of(notices, Frame), next_of(notices, Frame)
    assert (first.has_ticker, tickers(first)) == (False, [{"unreadable": '[{"s":"\\xff\\xfe"}]'}])
    assert (second.has_ticker, tickers(second)) == (True, [BTCUSDT])


def test_control_frames_make_no_notice() -> None:
    with kucoin(sends({"type": "pong", "id": "1"}, CRO_USDT)) as url:
        with listening(kucoin_feed(url)) as notices:
            told = told_until(notices, lambda notice: isinstance(notice, Frame))
    assert [type(notice).__name__ for notice in told] == ["Opening", "Opened", "Frame"]
    assert isinstance(told[-1], Frame) and tickers(told[-1]) == [CRO_USDT]


def test_connection_that_brings_tickers_is_kept() -> None:
    connections: list[ServerConnection] = []

    def steady(connection: ServerConnection) -> None:
        connections.append(connection)
        for _ in range(10):
            connection.send(json.dumps([BTCUSDT]))
            pass_time(0.2)
        until_closed(connection)

    with websocket_server(steady) as url:
        with listening(binance_feed(url, silence_limit=1.5)) as notices:
            assert next_tickers(notices, 10) == [BTCUSDT] * 10
            assert len(connections) == 1


def test_kucoin_hears_a_ping_in_text_at_every_interval() -> None:
    heard: Queue[dict[str, str]] = Queue()

    def talk(connection: ServerConnection) -> None:
        for text in connection:
            heard.put(json.loads(text))

    with kucoin(talk, ping_interval=0.1) as url, listening(kucoin_feed(url)):
        pings = [heard.get(timeout=DEADLINE) for _ in range(2)]
    assert [ping["type"] for ping in pings] == ["ping", "ping"]


NUMBERED = [{**BTCUSDT, "E": number} for number in range(50)]


def test_full_queue_holds_the_reading_up_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with websocket_server(sends(*([each] for each in NUMBERED))) as url:
        with listening(binance_feed(url), limit=2) as notices:
            wait_for(lambda: "queue full" in caplog.text)
            assert next_tickers(notices, 50) == NUMBERED
            with pytest.raises(Empty):
                notices.get_nowait()


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def tls(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SSLContext | None:
    """What a server needs to speak TLS with a client of this test, or nothing."""
    if not request.param:
        return None
    pem = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


@pytest.mark.parametrize("end", [leaves, aborts])
def test_pongs_that_can_not_be_sent_hide_none_of_the_frames_that_came_before_the_end(
    end: Talk, tls: SSLContext | None
) -> None:
    gone = Event()

    def talk(connection: ServerConnection) -> None:
        for number, ticker in enumerate(NUMBERED):
            connection.send(json.dumps([ticker]))
            if number % 5 == 2:
                connection.ping()
        end(connection)
        gone.set()

    with websocket_server(talk, tls=tls) as url:
        with listening(binance_feed(url), limit=4) as notices:
            wait_for(notices.full)
            assert gone.wait(DEADLINE)
            told = told_until(notices, lambda notice: isinstance(notice, Ended))
    assert [
        each for frame in told if isinstance(frame, Frame) for each in tickers(frame)
    ] == NUMBERED
    assert isinstance(told[-1], Ended) and told[-1].cause == "broken"


def test_pings_in_text_that_can_not_be_sent_hide_none_either(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = Event()
    numbered = [{**CRO_USDT, "subject": f"S{number}"} for number in range(50)]

    def talk(connection: ServerConnection) -> None:
        for ticker in numbered:
            connection.send(json.dumps(ticker))
        aborts(connection)
        gone.set()

    with kucoin(talk, ping_interval=0.001) as url:
        with listening(kucoin_feed(url), limit=4) as notices:
            wait_for(notices.full)
            assert gone.wait(DEADLINE)
            assert next_tickers(notices, 50) == numbered
            ended = next_of(notices, Ended)
    assert (ended.connection, ended.cause) == (1, "broken")
    assert "send failed connection=1" in caplog.text


def test_close_frame_is_heard_though_it_can_not_be_answered() -> None:
    gone = Event()

    def talk(connection: ServerConnection) -> None:
        for ticker in NUMBERED:
            connection.send(json.dumps([ticker]))
        connection.socket.sendall(b"\x88\x02\x03\xe9")
        aborts(connection)
        gone.set()

    with websocket_server(talk) as url, listening(binance_feed(url), limit=4) as notices:
        wait_for(notices.full)
        assert gone.wait(DEADLINE)
        assert next_tickers(notices, 50) == NUMBERED
        ended = next_of(notices, Ended)
    assert (ended.cause, ended.reason) == ("closed", "closed: 1001")
