"""Act as KuCoin and send prebuilt frames, at a rate or as fast as the client reads.

python -m benchmarks.extractors.source PORT FRAMES: run until its input ends. It implements bullet-public,
the list of symbols, and the WebSocket's welcome and ack, for one client at a time. Frames are sent when
the benchmark starts a run, so that the client's start is not measured. A WebSocket ping follows the last
frame: its pong shows that all frames were read.

    GET  /state              `State`
    POST /run?rate=&frames=  frames per second (0: as fast as they are read), total number of frames
    GET  /sent               of the latest run: a list of `Sent`
"""

import base64
import hashlib
import json
import struct
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_SNDBUF, SOL_SOCKET
from threading import Condition, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from benchmarks.extractors.frames import Frames, of_all_symbols, of_single_symbols
from infra.replay.market.symbols import kucoin_listing

TICK = 0.001
"""Seconds between two sends. KuCoin sends single frames; larger bursts would be cheaper to read."""

CHUNK = 100
"""Frames per send in a run without a rate."""

SEND_BUFFER = 65_536
"""Send buffer in bytes. Small, so that a slow reader blocks the sender immediately."""

ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, PING, PONG = 0x1, 0x9, 0xA


class Order(NamedTuple):
    rate: float
    frames: int


class Sent(NamedTuple):
    """State after one send. Times are seconds since the epoch."""

    frames: int
    """Frames sent since the start of the run."""
    due: float
    """When they were due, so that delays caused by a slow reader count; without a rate, `at`."""
    at: float
    """When the kernel had accepted them."""


class State(NamedTuple):
    is_waiting: bool
    """Whether a client has subscribed and waits for its frames."""
    began: float
    """When the latest run began."""
    read_at: float | None
    """When the client had read all frames."""


class Source:
    """Prebuilt frames, and the state of the run that the benchmark ordered."""

    def __init__(self, frames: int) -> None:
        self._count = frames
        self._made: dict[Callable[[int], Frames], Frames] = {of_all_symbols: of_all_symbols(frames)}
        self._changed = Condition()
        self._order: Order | None = None
        self._is_waiting = False
        self._began = 0.0
        self._read_at: float | None = None
        self.sent: list[Sent] = []

    def frames(self, make: Callable[[int], Frames]) -> Frames:
        if make not in self._made:
            self._made[make] = make(self._count)
        return self._made[make]

    def state(self) -> State:
        return State(self._is_waiting, self._began, self._read_at)

    def run(self, order: Order) -> None:
        with self._changed:
            self._order = order
            self._is_waiting = False
            self._read_at = None
            self.sent = []
            self._changed.notify_all()

    def wait_for_order(self) -> Order:
        with self._changed:
            self._is_waiting = True
            self._changed.wait_for(lambda: self._order)
            order, self._order = self._order, None
        assert order
        return order

    def begin(self) -> float:
        self._began = time.time()
        return self._began

    def all_read(self) -> None:
        self._read_at = time.time()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    source: Source

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/endpoint":
                self.close_connection = True
                self._handshake()
                # The benchmark stops a client that falls behind.
                try:
                    self._serve()
                except (OSError, EOFError):
                    return
            case "/api/v1/symbols" | "/api/v2/symbols":
                self._answer({"code": "200000", "data": kucoin_listing()})
            case "/state":
                self._answer(self.source.state()._asdict())
            case "/sent":
                self._answer(self.source.sent)
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        match address.path:
            case "/api/v1/bullet-public":
                host, port = self.connection.getsockname()[:2]
                server = {
                    "endpoint": f"ws://{host}:{port}/endpoint",
                    "encrypt": False,
                    "protocol": "websocket",
                    "pingInterval": 18000,
                    "pingTimeout": 10000,
                }
                data = {"token": "benchmark", "instanceServers": [server]}
                self._answer({"code": "200000", "data": data})
            case "/run":
                values = dict(parse_qsl(address.query))
                self.source.run(Order(float(values["rate"]), int(values["frames"])))
                self._answer(None)
            case _:
                self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log requests."""

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        # An unread body would be parsed as the next request.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _handshake(self) -> None:
        key = self.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + ACCEPT).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self._send(TEXT, b'{"id":"benchmark","type":"welcome"}')

    def _serve(self) -> None:
        command = json.loads(self._receive(TEXT))
        ack = json.dumps({"id": command["id"], "type": "ack"})
        self._send(TEXT, ack.encode())
        is_of_all = command["topic"].endswith(":all")
        frames = self.source.frames(of_all_symbols if is_of_all else of_single_symbols)
        order = self.source.wait_for_order()
        self._run(frames, order)
        self._send(PING, b"")
        self._receive(PONG)
        self.source.all_read()
        # Raises EOFError when the client closes the connection.
        while True:
            self._receive(TEXT)

    def _run(self, frames: Frames, order: Order) -> None:
        sent = 0
        began = self.source.begin()
        while sent < order.frames:
            if order.rate:
                time.sleep(TICK)
                end = min(order.frames, int((time.time() - began) * order.rate))
            else:
                end = min(order.frames, sent + CHUNK)
            if end > sent:
                self.connection.sendall(frames.part(sent, end))
                at = time.time()
                due = began + end / order.rate if order.rate else at
                self.source.sent.append(Sent(end, due, at))
                sent = end

    def _send(self, opcode: int, payload: bytes) -> None:
        self.connection.sendall(struct.pack("!BB", 0x80 | opcode, len(payload)) + payload)

    def _receive(self, awaited: int) -> bytes:
        """Return the next frame of this kind and skip others. Raise EOFError at the end."""
        while True:
            opcode, size = self._read(2)
            size &= 0x7F
            if size == 126:
                [size] = struct.unpack("!H", self._read(2))
            mask = self._read(4)
            data = self._read(size)
            if opcode & 0xF == awaited:
                return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise EOFError
        return data


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # Accepted connections inherit this option.
        self.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)
        super().server_bind()


def main() -> None:
    port, frames = map(int, sys.argv[1:])
    Handler.source = Source(frames)
    with Server(("127.0.0.1", port), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()
        server.shutdown()
    print("{}")


if __name__ == "__main__":
    main()
