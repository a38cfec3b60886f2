"""Clients that read slowly, do not read or do not answer: real sockets and short timeouts."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.sync.client import connect

from server.state.price_table import Reading
from server.streams.hub import Hub
from server.streams.protocols import (
    ConnectionLimits,
    HttpProtocol,
    WebSocketProtocol,
    http_protocol,
)
from server.streams.socket_writer import ACK_TIMEOUT_MS, UNSENT_LIMIT
from server.streams.stream import EventStream, stream_to_websocket
from server.streams.subscription import StreamQuery
from tests.support.event_stream import event_stream
from tests.support.live_job import price
from tests.support.server import DEADLINE, free_port
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.long

Protocol = HttpProtocol | WebSocketProtocol

STALLED_AFTER = 1.0
LATER_STALLED = 3.0
"""Long enough for several batches on a busy machine."""

UNANSWERED_PING = 60.0
SYMBOLS = [f"{number:04}" + 500 * "S" for number in range(2000)]
"""A message with all of them has about 1 MB."""

REQUESTS = {
    "ws": "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "sse": "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


class Serving:
    """Server of a hub's streams, in a thread of this process."""

    def __init__(
        self, *, ping_interval: float, ping_timeout: float, stalled_after: float = STALLED_AFTER
    ) -> None:
        self.hub = Hub(heartbeat_after=0.2, stalled_after=stalled_after)
        self.port = free_port()
        self.batch = 0
        self.server = uvicorn.Server(
            uvicorn.Config(
                self.app(),
                port=self.port,
                http=http_protocol(ConnectionLimits(100, 100)),
                ws=WebSocketProtocol,
                ws_per_message_deflate=False,
                ws_ping_interval=ping_interval,
                ws_ping_timeout=ping_timeout,
                log_config=None,
                lifespan="off",
            )
        )

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.websocket("/ws")
        async def ws(websocket: WebSocket) -> None:
            await stream_to_websocket(websocket, self.hub, StreamQuery())

        @app.get("/stream", response_class=EventStream)
        async def events() -> EventStream:
            return EventStream(self.hub, StreamQuery(), None)

        return app

    async def run(self) -> None:
        self.loop = asyncio.get_running_loop()
        client_checks = asyncio.create_task(self.hub.check_clients())
        await self.server.serve()
        client_checks.cancel()

    def publish(self) -> None:
        """Publish a batch that changes every symbol."""
        previous, self.batch = self.batch or None, self.batch + 1
        rows = [price("binance", each, str(self.batch), batch_id=self.batch) for each in SYMBOLS]
        reading = Reading("e", self.batch, previous, rows)
        self.loop.call_soon_threadsafe(self.hub.publish, reading)

    def transports(self) -> list[asyncio.Transport]:
        """Return the transports of the open connections."""
        protocols = list(self.server.server_state.connections)
        return [each.transport for each in protocols if isinstance(each, Protocol)]


@contextmanager
def running(serving: Serving) -> Iterator[Serving]:
    thread = threading.Thread(target=lambda: asyncio.run(serving.run()))
    thread.start()
    try:
        wait_for(lambda: serving.server.started)
        serving.publish()
        yield serving
    finally:
        serving.hub.close()
        serving.server.should_exit = True
        thread.join(DEADLINE)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with running(
        Serving(ping_interval=0.5, ping_timeout=UNANSWERED_PING, stalled_after=LATER_STALLED)
    ) as serving:
        yield serving


@contextmanager
def open_without_reading(serving: Serving, kind: str) -> Iterator[socket.socket]:
    """Open a stream and read nothing from it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(("127.0.0.1", serving.port))
        client.sendall(REQUESTS[kind].encode())
        yield client


@pytest.mark.parametrize("kind", ["ws", "sse"])
def test_a_client_that_reads_nothing_is_closed_and_its_buffer_is_bounded(
    serving: Serving, kind: str
) -> None:
    traffic = serving.hub.traffic[kind]
    # In bytes: more than one message, less than two.
    limit = len(json.dumps(SYMBOLS)) * 2
    with (
        open_without_reading(serving, kind),
        connect(f"ws://127.0.0.1:{serving.port}/ws", max_size=None) as quick,
    ):
        quick.recv(DEADLINE)
        took = []

        def stalled_after_a_batch() -> int:
            began = time.monotonic()
            serving.publish()
            while json.loads(quick.recv(DEADLINE))["id"] != f"e-{serving.batch}":
                pass
            took.append(time.monotonic() - began)
            assert max(each.get_write_buffer_size() for each in serving.transports()) < limit
            return traffic.stalled

        wait_for(stalled_after_a_batch, pause=0)
        assert traffic.conflated > 1
    # Use the median: a busy machine may delay one batch.
    assert median(took) < LATER_STALLED / 2


def test_a_client_that_pings_without_reading_is_closed_before_answers_pile_up() -> None:
    ping = b"\x89\x80\0\0\0\0"
    # Before any other limit closes the client: the kernel's ACK timeout, the ping timeout, the stall limit.
    before_others = ACK_TIMEOUT_MS / 1000 / 2
    patient = Serving(
        ping_interval=0.5, ping_timeout=UNANSWERED_PING, stalled_after=2 * UNANSWERED_PING
    )
    with running(patient) as serving, open_without_reading(serving, "ws") as client:
        client.settimeout(DEADLINE)
        end = time.monotonic() + before_others
        with pytest.raises(ConnectionError):
            while time.monotonic() < end:
                client.sendall(ping * 1000)


def test_a_websocket_whose_pings_are_not_answered_is_closed() -> None:
    with (
        running(Serving(ping_interval=0.2, ping_timeout=0.3)) as serving,
        socket.create_connection(("127.0.0.1", serving.port), DEADLINE) as client,
    ):
        client.sendall(REQUESTS["ws"].encode())
        end = time.monotonic() + DEADLINE
        while client.recv(1_000_000):
            assert time.monotonic() < end


def test_a_websocket_that_reads_slowly_may_answer_pings_late() -> None:
    """A ping waits behind the message that the client still reads."""
    with (
        running(Serving(ping_interval=0.2, ping_timeout=0.3)) as serving,
        open_without_reading(serving, "ws") as client,
    ):
        client.settimeout(DEADLINE)
        until = time.monotonic() + 4 * STALLED_AFTER
        while time.monotonic() < until:
            assert client.recv(10_000)
            pass_time(0.05)
        (transport,) = serving.transports()
        assert transport.get_write_buffer_size() > 0
        assert not transport.is_closing()


def test_the_kernel_is_told_to_close_a_vanished_peer_and_to_buffer_little(
    serving: Serving,
) -> None:
    with event_stream(serving.port) as stream:
        stream.receive()
        (transport,) = serving.transports()
        connection = transport.get_extra_info("socket")
        tcp = socket.IPPROTO_TCP
        assert connection.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == ACK_TIMEOUT_MS
        assert connection.getsockopt(tcp, socket.TCP_NOTSENT_LOWAT) == UNSENT_LIMIT


def test_a_quiet_stream_sends_heartbeats(serving: Serving) -> None:
    with event_stream(serving.port) as stream:
        snapshot, *heartbeats = [stream.receive() for _ in range(3)]

    for heartbeat in heartbeats:
        assert (heartbeat["type"], heartbeat["id"], heartbeat["previous"]) == (
            "heartbeat",
            snapshot["id"],
            snapshot["id"],
        )
    assert heartbeats[0]["time"] < heartbeats[1]["time"]


def test_http_1_0_gets_events_without_chunks(serving: Serving) -> None:
    with socket.create_connection(("127.0.0.1", serving.port), DEADLINE) as client:
        client.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            while answer.readline() != b"\r\n":
                pass
            assert answer.readline().startswith(b"id: e-")
            assert answer.readline().startswith(b'data: {"type":"snapshot"')
