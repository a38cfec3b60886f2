"""The connecting thread against real servers on loopback."""

import json
import logging
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Event, Thread

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from extractors.binance import BinanceFeed
from extractors.connection import stay_connected
from extractors.feed import Feed, Frame
from extractors.kucoin import KucoinFeed
from tests.frames import BTCUSDT, CRO_USDT, ETHUSDT
from tests.loopback import http_server, kucoin, token_of, websocket_server

DEADLINE = 10.0


@contextmanager
def listening(feed: Feed, backlog: int = 0) -> Iterator[Queue[Frame]]:
    """The feed's frames, from a connection that may try again at once."""
    feed.connect_interval = 0.0
    frames: Queue[Frame] = Queue(maxsize=backlog)
    stop = Event()
    thread = Thread(target=stay_connected, args=(feed, frames, stop))
    thread.start()
    try:
        yield frames
    finally:
        stop.set()
        thread.join(DEADLINE)
        assert not thread.is_alive()


def tickers(frames: Queue[Frame], number: int = 1) -> list[dict[str, object]]:
    """The tickers of the next frames, without `received_at`."""
    items = [
        raw_data.item() for _ in range(number) for raw_data in frames.get(timeout=DEADLINE).raw_data
    ]
    return [{name: item[name] for name in item if name != "received_at"} for item in items]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def until_closed(connection: ServerConnection) -> None:
    for _ in connection:
        pass


def on_connections(
    *talks: Callable[[ServerConnection], None],
) -> Callable[[ServerConnection], None]:
    """The first talk on the first connection, and so on; the last one on all later ones."""
    remaining = list(talks)

    def talk(connection: ServerConnection) -> None:
        (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection)

    return talk


def sends(*frames: object) -> Callable[[ServerConnection], None]:
    def talk(connection: ServerConnection) -> None:
        for frame in frames:
            connection.send(json.dumps(frame))
        until_closed(connection)

    return talk


def test_frames_come_in_order_with_their_host_and_their_time() -> None:
    with websocket_server(sends([BTCUSDT], [ETHUSDT, BTCUSDT])) as url:
        before = time.time_ns() // 1000
        with listening(BinanceFeed(url)) as frames:
            first, second = (frames.get(timeout=DEADLINE) for _ in range(2))
        after = time.time_ns() // 1000
    assert [first.endpoint, second.endpoint] == ["127.0.0.1", "127.0.0.1"]
    assert [each.symbol for each in first.raw_data] == ["BTCUSDT"]
    assert [each.symbol for each in second.raw_data] == ["ETHUSDT", "BTCUSDT"]
    times = [each.item()["received_at"] for frame in (first, second) for each in frame.raw_data]
    assert before <= times[0] <= times[1] == times[2] <= after


def breaks_off(connection: ServerConnection) -> None:
    connection.send(json.dumps([BTCUSDT]))
    connection.socket.close()


def closes(connection: ServerConnection) -> None:
    connection.send(json.dumps([BTCUSDT]))
    connection.close(1001, "going away")


@pytest.mark.parametrize(
    "end",
    [
        breaks_off,
        closes,
        sends([BTCUSDT], {"e": "serverShutdown", "E": 1743147448467}),
        sends([BTCUSDT], {"error": {"code": 2, "msg": "Invalid request"}, "id": 2}),
    ],
    ids=["broken", "closed", "serverShutdown", "error"],
)
def test_connection_that_ends_is_followed_by_another(
    end: Callable[[ServerConnection], None],
) -> None:
    with websocket_server(on_connections(end, sends([ETHUSDT]))) as url:
        with listening(BinanceFeed(url)) as frames:
            assert tickers(frames, 2) == [BTCUSDT, ETHUSDT]


def test_each_kucoin_connection_has_a_token_of_its_own_and_no_log_shows_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens: list[str] = []

    def talk(connection: ServerConnection) -> None:
        tokens.append(token_of(connection))
        connection.send(json.dumps(CRO_USDT))
        connection.close()

    with caplog.at_level(logging.DEBUG), kucoin(talk) as url, listening(KucoinFeed(url)) as frames:
        assert tickers(frames, 2) == [CRO_USDT, CRO_USDT]
    assert tokens[:2] == ["secret/1", "secret/2"]
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("extractors")]
    assert any(message.startswith("disconnected") for message in ours)
    assert not [message for message in ours if "secret" in message]


def test_handshake_that_is_refused_is_tried_again_without_showing_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = iter([401])

    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        for status in refusals:
            return connection.respond(status, f"not with {request.path}")
        return None

    class SecretFeed(BinanceFeed):
        def __init__(self, url: str) -> None:
            super().__init__(f"{url}/?token=secret")

    with websocket_server(sends([BTCUSDT]), refuse) as url:
        with listening(SecretFeed(url)) as frames:
            assert tickers(frames) == [BTCUSDT]
    assert "handshake answered 401" in caplog.text
    assert "secret" not in caplog.text


def pings(connection: ServerConnection) -> None:
    connection.ping().wait(DEADLINE)


def talks_of_other_things(connection: ServerConnection) -> None:
    connection.send('{"result":null,"id":1}')
    connection.send("no ticker either")


@pytest.mark.parametrize("say", [pings, talks_of_other_things])
def test_connection_without_tickers_is_given_up_however_lively_it_is(
    say: Callable[[ServerConnection], None],
) -> None:
    def lively(connection: ServerConnection) -> None:
        try:
            while True:
                say(connection)
                time.sleep(0.02)
        except ConnectionClosed:
            pass

    with websocket_server(on_connections(lively, sends([BTCUSDT]))) as url:
        with listening(BinanceFeed(url, silence_limit=0.4)) as frames:
            wait_for(lambda: tickers(frames) == [BTCUSDT])


def test_connection_that_brings_tickers_is_kept() -> None:
    connections: list[ServerConnection] = []

    def steady(connection: ServerConnection) -> None:
        connections.append(connection)
        for _ in range(10):
            connection.send(json.dumps([BTCUSDT]))
            time.sleep(0.06)
        until_closed(connection)

    with websocket_server(steady) as url:
        with listening(BinanceFeed(url, silence_limit=0.4)) as frames:
            assert tickers(frames, 10) == [BTCUSDT] * 10
            assert len(connections) == 1


def test_kucoin_hears_a_ping_in_text_at_every_interval() -> None:
    heard: Queue[dict[str, str]] = Queue()

    def talk(connection: ServerConnection) -> None:
        for text in connection:
            heard.put(json.loads(text))

    with kucoin(talk, ping_interval=0.1) as url, listening(KucoinFeed(url)):
        pings = [heard.get(timeout=DEADLINE) for _ in range(2)]
    assert [ping["type"] for ping in pings] == ["ping", "ping"]


def websocket_frame(payload: bytes) -> bytes:
    return struct.pack("!BBH", 0x81, 126, len(payload)) + payload


def test_frame_that_comes_in_pieces_with_pauses_arrives_whole() -> None:
    def slow(connection: ServerConnection) -> None:
        text = websocket_frame(json.dumps([BTCUSDT, ETHUSDT]).encode())
        for piece in (text[:3], text[3:100], text[100:]):
            connection.socket.sendall(piece)
            time.sleep(0.3)  # longer than the thread waits for a frame
        until_closed(connection)

    with websocket_server(slow) as url, listening(BinanceFeed(url)) as frames:
        assert tickers(frames) == [BTCUSDT, ETHUSDT]


def test_fragmented_and_binary_messages_are_read_like_others() -> None:
    def talk(connection: ServerConnection) -> None:
        text = json.dumps([BTCUSDT])
        connection.send([text[:20], text[20:]])
        connection.send(json.dumps([ETHUSDT]).encode())
        until_closed(connection)

    with websocket_server(talk) as url, listening(BinanceFeed(url)) as frames:
        assert tickers(frames, 2) == [BTCUSDT, ETHUSDT]


def test_bytes_that_are_no_utf8_are_kept_and_the_connection_goes_on() -> None:
    def talk(connection: ServerConnection) -> None:
        connection.socket.sendall(websocket_frame(b'[{"s":"\xff\xfe"}]'))
        connection.send(json.dumps([BTCUSDT]))
        until_closed(connection)

    with websocket_server(talk) as url, listening(BinanceFeed(url)) as frames:
        assert tickers(frames, 2) == [{"unreadable": '[{"s":"\\xff\\xfe"}]'}, BTCUSDT]


def test_full_queue_holds_the_reading_up_and_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    numbered = [{**BTCUSDT, "E": number} for number in range(50)]
    with websocket_server(sends(*([each] for each in numbered))) as url:
        with listening(BinanceFeed(url), backlog=2) as frames:
            wait_for(lambda: "queue full" in caplog.text)
            assert tickers(frames, 50) == numbered
            with pytest.raises(Empty):
                frames.get_nowait()


def test_pause_that_the_exchange_demands_is_kept_until_the_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests: list[None] = []

    def answer() -> str:
        requests.append(None)
        return ""

    with http_server(answer, status=429, headers={"gw-ratelimit-reset": "60000"}) as url:
        with listening(KucoinFeed(url)):
            wait_for(lambda: "retry_in=60.0" in caplog.text)
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 10
    assert len(requests) == 1
