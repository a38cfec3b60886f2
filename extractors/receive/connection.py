"""Run the threads that connect, receive frames, detect silence, back off and rotate.

Guarantee: every data frame that is read from a socket enters the backlog once, in order of arrival.
During a rotation two connections are open: the old one is closed only after data has flowed on the new
one for OVERLAP seconds, and it is read until the exchange has answered our close frame. Tickers that an
exchange sends while no connection is open are lost: backfill/ requests only candles.
"""

import itertools
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Thread

from websocket import WebSocket, WebSocketException

from exchanges.exchange import ConfigurationError, ExchangeError, Session, ShutdownAnnounced
from extractors.metrics import Metrics
from extractors.receive.backlog import Backlog
from extractors.receive.backoff import Backoff
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.notices import Ended, Frame, Notice, Opened, Opening, now_us
from extractors.receive.open_socket import connect
from extractors.receive.web_socket import Socket

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Maximum seconds between two checks of silence, pings and the stop."""

OVERLAP = 2.0
"""Seconds that both connections stay open: older frames may still be in flight, and Binance sends
only once a second."""

CLOSE_TIMEOUT = 10.0
"""Seconds that the exchange has to answer our close frame. Until then its frames are read."""

STOP_LIMIT = 1.0
"""The same limit while the process stops."""


def stay_connected(
    client: ExchangeClient, backlog: Backlog, stop: Event, metrics: Metrics, has_worked: Event
) -> None:
    """Open one connection after another until `stop` is set.

    Give up only on a ConfigurationError before the first ticker. A stream that has worked is retried:
    exchanges have refused such a stream for minutes (ccxt issue 18889). `has_worked` is set if it has
    worked in an earlier process.
    """
    backoff = Backoff(client.connect_interval)
    open_connections: list[Connection] = []
    for number in itertools.count(1):
        if stop.is_set():
            break
        attempted = time.monotonic()
        connection = Connection(
            number, client, backlog, stop, metrics, open_connections, has_worked
        )
        connection.start()
        connection.needs_successor.wait()
        open_connections = [each for each in (*open_connections, connection) if each.is_alive()]
        error = connection.error
        if stop.is_set() or connection.is_hopeless:
            break
        since_attempt = time.monotonic() - attempted
        if error is None and connection.has_ticker:
            pause = backoff.pause_of_rotation(since_attempt, connection.healthy_for)
        else:
            pause = backoff.pause(
                since_attempt,
                connection.healthy_for,
                at_once=error is None or error.at_once,
                demanded=error.retry_after if error else 0.0,
            )
        log.info("connecting again connection=%d in=%.1f", number + 1, pause)
        stop.wait(pause)
    for each in open_connections:
        each.join()


class Connection(Thread):
    """Thread of one connection to an exchange; its notices go to the backlog.

    `older` are the connections that it replaces; they stay open until it has received data for OVERLAP
    seconds. `has_worked` is set when any connection, of an earlier process too, has received a ticker.
    """

    def __init__(
        self,
        number: int,
        client: ExchangeClient,
        backlog: Backlog,
        stop: Event,
        metrics: Metrics,
        older: Iterable["Connection"],
        has_worked: Event,
    ) -> None:
        # A daemon, because a name lookup can't be interrupted.
        super().__init__(name=f"connection {number}", daemon=True)
        self.needs_successor = Event()
        """Set when the connection ends or must be replaced."""
        self.error: ExchangeError | None = None
        """Why the connection ended; None while it is open."""
        self._number = number
        self._client = client
        self._backlog = backlog
        self._stop_requested = stop
        self._metrics = metrics
        self._older = list(older)
        self._has_worked = has_worked
        self._replaced = Event()
        self._why_replaced = ""
        self._is_open = False
        self._first_ticker: float | None = None
        self._last_ticker = 0.0
        self._silent_since = 0.0
        """Latest of: the opening, the last ticker, the end of the last wait for a full backlog."""

    @property
    def has_ticker(self) -> bool:
        return self._first_ticker is not None

    @property
    def is_hopeless(self) -> bool:
        """Whether retrying is useless."""
        return isinstance(self.error, ConfigurationError) and not self._has_worked.is_set()

    @property
    def healthy_for(self) -> float:
        """Seconds from the first ticker to the last (0 before the first)."""
        return 0.0 if self._first_ticker is None else self._last_ticker - self._first_ticker

    def run(self) -> None:
        self._put(Opening(self._number, now_us()))
        try:
            self._listen()
            error = self._leaving()
        except ExchangeError as exchange_error:
            error = exchange_error
        except (WebSocketException, OSError) as network_error:
            cause = "broken" if self._is_open else "unreachable"
            error = ExchangeError(cause, f"{type(network_error).__name__}: {network_error}")
        except Exception as unexpected:
            # The next connection may succeed. Without this, the thread would end without a notice.
            log.exception("connection failed connection=%d", self._number)
            error = ExchangeError("failed", repr(unexpected))
        self.error = error
        log.log(
            logging.INFO if error.cause in ("stopped", "rotated") else logging.WARNING,
            "connection ended connection=%d reason=%r healthy_for=%.1f",
            self._number,
            str(error),
            self.healthy_for,
        )
        self._put(Ended(self._number, now_us(), error.cause, str(error), self.is_hopeless))
        self.needs_successor.set()

    def leave(self) -> None:
        """End this connection: another one has taken over."""
        self._replaced.set()

    def _leaving(self) -> ExchangeError:
        if self._replaced.is_set():
            return ExchangeError("rotated", self._why_replaced)
        return ExchangeError("stopped")

    def _listen(self) -> None:
        """Receive until stopped or replaced. Raise ExchangeError, WebSocketException or OSError."""
        endpoint, socket = connect(self._client)
        socket.settimeout(WAKE_INTERVAL)
        self._is_open = True
        try:
            log.info("connected connection=%d endpoint=%s", self._number, endpoint.host)
            self._put(Opened(self._number, now_us(), endpoint.host))
            opened = self._silent_since = time.monotonic()
            session = endpoint.session(opened)
            while not (self._stop_requested.is_set() or self._replaced.is_set()):
                now = time.monotonic()
                self._send(socket, session, now)
                self._watch_silence(now)
                self._take_over(now)
                if now - opened >= self._client.age_limit:
                    self._replace(f"age: {self._client.age_limit:g} s")
                self._receive(socket, session, endpoint.host)
            self._leave(socket, session, endpoint.host)
        finally:
            socket.send_close()
            socket.shutdown()  # type: ignore[no-untyped-call]

    def _leave(self, socket: Socket, session: Session, host: str) -> None:
        """Send our close frame, and read the frames that the exchange sent before its close frame.

        Some of them may be older than the successor's subscription: if this connection lags by more
        than OVERLAP, no other connection delivers them.
        """
        socket.send_close()
        left = time.monotonic()
        with suppress(ExchangeError, WebSocketException, OSError):
            while time.monotonic() - left < self._leave_limit():
                self._receive(socket, session, host)

    def _leave_limit(self) -> float:
        return STOP_LIMIT if self._stop_requested.is_set() else CLOSE_TIMEOUT

    def _send(self, socket: WebSocket, session: Session, now: float) -> None:
        for text in session.due(now):
            try:
                socket.send(text)
            except (WebSocketException, OSError) as error:
                # There may still be frames to read; a later read reports the end.
                log.warning("send failed connection=%d reason=%r", self._number, str(error))

    def _watch_silence(self, now: float) -> None:
        if now - self._silent_since > self._client.silence_limit:
            raise ExchangeError(
                "silence", f"no ticker for {self._client.silence_limit:g} s", at_once=True
            )

    def _take_over(self, now: float) -> None:
        if self._older and self._first_ticker and now - self._first_ticker >= OVERLAP:
            for each in self._older:
                each.leave()
            self._older.clear()

    def _replace(self, why: str) -> None:
        """Request a successor, once."""
        if not self.needs_successor.is_set():
            log.info("replacement requested connection=%d reason=%r", self._number, why)
            self._why_replaced = why
            self.needs_successor.set()

    def _receive(self, socket: Socket, session: Session, host: str) -> None:
        frames: list[Notice] = []
        try:
            for data in socket.frames():
                at = now_us()
                try:
                    raw_data = session.receive(data)
                except ShutdownAnnounced as announced:
                    self._replace(str(announced))
                    continue
                if raw_data:
                    frame = Frame(self._number, at, host, raw_data, len(data))
                    frames.append(frame)
                    if frame.has_ticker:
                        self._last_ticker = self._silent_since = time.monotonic()
                        if self._first_ticker is None:
                            self._first_ticker = self._last_ticker
                            self._has_worked.set()
        finally:
            # Also the frames received before an error.
            if frames:
                self._put(*frames)

    def _put(self, *notices: Notice) -> None:
        """Put notices into the backlog. Block while it is full: no frame that was read is dropped.

        Meanwhile no frame is read and no ping is sent: the exchange's frames wait in the network's
        buffers. If the backlog stays full, the exchange closes the connection.
        """
        if self._backlog.is_full:
            self._metrics.queue_full.inc()
            log.warning("backlog full, reading paused connection=%d", self._number)
            self._backlog.put(notices)
            # Nothing was read meanwhile: the exchange's frames wait in the network's buffers.
            self._silent_since = time.monotonic()
            log.warning("backlog drained, reading resumed connection=%d", self._number)
        else:
            self._backlog.put(notices)
