"""The one thread that connects, listens, watches for silence, and backs off.

What it promises: every data frame that is read from the socket goes onto the queue once, in the
order of its arrival. What an exchange sends while no connection stands is not asked for again.
"""

import logging
import time
from queue import Full, Queue
from threading import Event

import websocket
from websocket import ABNF, WebSocket, WebSocketException

from extractors.backoff import Backoff
from extractors.feed import Endpoint, Feed, FeedError, Frame, UnreadableRawData

log = logging.getLogger(__name__)

OPEN_LIMIT = 10.0
"""Seconds to connect, and seconds for each step of the handshake."""

WAKE_INTERVAL = 0.25
"""Seconds without a frame after which the silence, the pings and the stop are looked at."""

CLOSE_LIMIT = 1.0
"""Seconds that the other side has to answer our close frame."""


def stay_connected(feed: Feed, frames: Queue[Frame], stop: Event) -> None:
    """One connection after another until `stop` is set. Never gives up."""
    backoff = Backoff(feed.connect_interval)
    while not stop.is_set():
        connection = Connection(feed, frames)
        attempted = time.monotonic()
        demanded = 0.0
        try:
            connection.listen(stop)
            return
        except FeedError as error:
            reason, demanded = str(error), error.retry_after
        except (WebSocketException, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
        lasted = time.monotonic() - attempted
        pause = backoff.pause(lasted, connection.healthy_for, demanded)
        log.warning("disconnected reason=%r lasted=%.1f retry_in=%.1f", reason, lasted, pause)
        stop.wait(pause)


class Connection:
    """One connection to a feed; what it hears goes onto `frames`."""

    def __init__(self, feed: Feed, frames: Queue[Frame]) -> None:
        self._feed = feed
        self._frames = frames
        self._first_ticker: float | None = None
        self._last_ticker = 0.0

    @property
    def healthy_for(self) -> float:
        """Seconds from the first ticker to the last; 0 while there was none."""
        return 0.0 if self._first_ticker is None else self._last_ticker - self._first_ticker

    def listen(self, stop: Event) -> None:
        """Connects, and listens until `stop` is set.

        Any other end is an exception: FeedError, WebSocketException or OSError.
        """
        endpoint = self._feed.endpoint()
        socket = open_socket(endpoint)
        log.info("connected host=%s", endpoint.host)
        try:
            opened = self._last_ticker = time.monotonic()
            session = self._feed.session(endpoint, opened)
            while not stop.is_set():
                now = time.monotonic()
                for text in session.due(now):
                    socket.send(text)
                if now - self._last_ticker > self._feed.silence_limit:
                    raise FeedError(f"no ticker for {self._feed.silence_limit:g} s")
                received = receive_text(socket)
                if received is not None:
                    raw_data = session.receive(received, time.time_ns() // 1000)
                    if raw_data:
                        self._pass_on(Frame(endpoint.host, raw_data))
        finally:
            socket.close(timeout=CLOSE_LIMIT)
            # close() leaves a socket open that the other side has closed first.
            socket.shutdown()  # type: ignore[no-untyped-call]

    def _pass_on(self, frame: Frame) -> None:
        """Waits while the queue is full: what was read is not dropped.

        No frame is read meanwhile and no ping is sent, so the exchange may end the connection.
        """
        try:
            self._frames.put_nowait(frame)
        except Full:
            log.warning("queue full, reading waits frames=%d", self._frames.qsize())
            self._frames.put(frame)
            log.warning("queue has room, reading goes on")
        if any(not isinstance(raw_data, UnreadableRawData) for raw_data in frame.raw_data):
            self._last_ticker = time.monotonic()
            self._first_ticker = self._first_ticker or self._last_ticker


def open_socket(endpoint: Endpoint) -> WebSocket:
    """Raises FeedError, WebSocketException or OSError; none of them shows the URL or its token."""
    try:
        socket = websocket.create_connection(
            endpoint.url,
            timeout=OPEN_LIMIT,
            redirect_limit=0,
            enable_multithread=False,
            skip_utf8_validation=True,
        )
    except websocket.WebSocketBadStatusException as error:
        raise FeedError(f"handshake answered {error.status_code}") from error
    socket.settimeout(WAKE_INTERVAL)
    return socket


def receive_text(socket: WebSocket) -> str | None:
    """The next data frame's text; None where none came in time, or only a ping or a pong.

    Bytes that are no UTF-8 become escapes like \\xff: no JSON any more, but kept.
    """
    try:
        # Control frames are asked for because recv_data would otherwise not return while pings
        # keep coming, and silence would go unseen. Pings are answered by it all the same.
        opcode, data = socket.recv_data(control_frame=True)
    except websocket.WebSocketTimeoutException:
        return None
    if opcode == ABNF.OPCODE_CLOSE:
        code = int.from_bytes(data[:2], "big")
        raise FeedError(f"closed by the exchange: {code} {data[2:].decode(errors='replace')}")
    if opcode in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
        return None
    return str(data, "utf-8", "backslashreplace")
