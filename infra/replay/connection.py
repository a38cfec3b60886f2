"""Manage one client's WebSocket: its data, the faults inflicted on it, and how and why it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol, TypeVar

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from infra.replay.encoding import encode_frames
from infra.replay.faults.disturbances import Dialect, Disturbances
from infra.replay.faults.faults import (
    Close,
    Disturbance,
    Drop,
    Error,
    HalfFrame,
    Opening,
    Shutdown,
    Strike,
)

LARGEST_BACKLOG_BYTES = 4_000_000
"""Unsent bytes, some 16,000 KuCoin frames, above which a connection is broken. The exchanges also close
a socket whose client reads too slowly."""
SILENCE_CHECK_INTERVAL = 0.02
"""Interval at which a silenced connection checks whether its client has left, in seconds."""

ENDINGS = {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}

OpeningFault = TypeVar("OpeningFault", bound=Opening)

Envelope = Callable[[str, str], str]
"""Mapping from a stream's name and one of its texts to the text that is sent."""


def no_envelope(stream: str, text: str) -> str:
    return text


class Ending(StrEnum):
    CLOSED = "closed"
    """Ended by the exchange, with a close frame."""
    BROKEN = "broken"
    """Ended by the exchange, without a close frame."""
    LEFT = "left"
    """Ended by the client."""


class Observer(Protocol):
    """Receives the events of an exchange's connections, in the exchange's thread."""

    def opened(self, connection: "Connection") -> None: ...

    def sending(self, connection: "Connection", texts: Sequence[str]) -> None:
        """Called with data just before it is written to the transport."""

    def ended(self, connection: "Connection") -> None:
        """Called before the close frame, before the connection is broken, or once the client has left."""


class Connection:
    """Writes encoded frames to the transport; a feed encodes its frames once for all clients."""

    def __init__(
        self,
        dialect: Dialect,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        lifetime: float,
        observer: Observer | None,
    ) -> None:
        """`lifetime` is in seconds."""
        self.exchange = dialect.exchange
        self.socket = socket
        self.envelope: Envelope = no_envelope
        self.frames = 0
        self.ending: Ending | None = None
        self.reason = ""
        self._dialect = dialect
        self._transport = transport
        self._observer = observer
        self._openings: list[Opening] = []
        self._disturbances: Disturbances | None = None
        self._farewell = (WSCloseCode.OK, "connection lifetime")
        self._timer = asyncio.timeout(lifetime)
        host, port = transport.get_extra_info("peername")[:2]
        self._name = f"{self.exchange} {host}:{port}"

    def __str__(self) -> str:
        return self._name

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the connection open for the block, which is cancelled if the exchange closes it."""
        if self._observer:
            self._observer.opened(self)
        try:
            async with self._timer:
                yield
        except TimeoutError:
            if not self._timer.expired():
                raise
            if self._is_silent:
                self._break(self._farewell[1])
            self._end(Ending.CLOSED, self._farewell[1])
        finally:
            self._end(Ending.LEFT, f"the client left (code {self.socket.close_code})")
        await self._shake_hands()

    async def _shake_hands(self) -> None:
        """Close the connection, or answer the client's close.

        Wait for the client's answer, but not for it to read the frames sent before.
        """
        if self.ending is Ending.CLOSED:
            code, reason = self._farewell
            await self.socket.close(code=code, message=reason.encode(), drain=False)
        while self._is_silent and not self._transport.is_closing():
            await asyncio.sleep(SILENCE_CHECK_INTERVAL)
        if self.ending is Ending.LEFT:
            await self.socket.close(drain=False)

    def suffer(self, fault: Opening | Disturbance) -> None:
        if isinstance(fault, Opening):
            self._openings.append(fault)
        else:
            self._disturbances = self._disturbances or Disturbances(self._dialect)
            self._disturbances.add(fault)

    def recover(self) -> None:
        """Remove all faults. A close that has begun is completed."""
        self._openings.clear()
        self._disturbances = None

    def opening(self, kind: type[OpeningFault]) -> OpeningFault | None:
        """Return the fault of this kind that was inflicted, if any."""
        return next((fault for fault in self._openings if isinstance(fault, kind)), None)

    def send(self, *texts: str) -> None:
        """Send texts that are not data, such as answers, errors and announcements."""
        if self._is_writable():
            self._write(encode_frames(texts), len(texts))

    def send_data(self, texts: Sequence[str], frames: bytes) -> None:
        """Send data; `frames` are the texts encoded."""
        if self._disturbances is None:
            self._send_data(texts, frames)
            return
        for text in texts:
            for strike, passed in self._disturbances.pass_on(text):
                if strike:
                    self._strike(strike, passed)
                else:
                    self._send_data([passed], encode_frames([passed]))

    async def ping(self, payload: bytes) -> None:
        if self._speaks:
            await self.socket.ping(payload)

    async def receive(self) -> WSMessage | None:
        """Return the next message, None when the connection has ended. Pings are answered first."""
        message = await self.socket.receive()
        if message.type is WSMsgType.PING and self._speaks:
            await self.socket.pong(message.data)
        return None if message.type in ENDINGS else message

    def announce_shutdown(self) -> None:
        """Announce that the exchange will close the connection, if its protocol has a message for it."""
        if announcement := self._dialect.announcement():
            self.send(self.envelope(*announcement))

    def close(self, code: WSCloseCode, reason: str, delay: float = 0.0) -> None:
        """Close with a close frame after `delay` seconds; data continues until then.

        A silenced connection is broken at once, without a close frame.
        """
        if self.ending or self._timer.expired():
            return
        if self._is_silent:
            self._break(reason)
            return
        self._farewell = (code, reason)
        if not delay:
            self._end(Ending.CLOSED, reason)
        self._timer.reschedule(asyncio.get_running_loop().time() + delay)

    @property
    def _is_silent(self) -> bool:
        return self._disturbances is not None and self._disturbances.is_silent

    @property
    def _speaks(self) -> bool:
        return not (self.ending or self._is_silent or self._transport.is_closing())

    def _send_data(self, texts: Sequence[str], frames: bytes) -> None:
        if self._is_writable():
            if self._observer:
                self._observer.sending(self, texts)
            self._write(frames, len(texts))

    def _write(self, frames: bytes, count: int) -> None:
        self._transport.write(frames)
        self.frames += count

    def _is_writable(self) -> bool:
        """Return whether the transport accepts data. Disconnect a client that reads too slowly."""
        if not self._speaks:
            return False
        if self._transport.get_write_buffer_size() > LARGEST_BACKLOG_BYTES:
            self._break("the client reads too slowly")
            return False
        return True

    def _strike(self, strike: Strike, text: str) -> None:
        """Apply a fault that is due before a data frame."""
        match strike:
            case Drop():
                self._break(strike.name())
            case HalfFrame():
                if self._is_writable():
                    self._end(Ending.BROKEN, strike.name())
                    frame = encode_frames([text])
                    self._transport.write(frame[: len(frame) // 2])
                    # close(), not abort(): buffered frames and this half are still to be sent.
                    self._transport.close()
            case Close():
                self.close(WSCloseCode.OK, strike.name())
            case Shutdown():
                self.announce_shutdown()
                self.close(WSCloseCode.GOING_AWAY, strike.name(), strike.lead)
            case Error():
                self.send(self._dialect.error(strike.code))

    def _break(self, reason: str) -> None:
        self._end(Ending.BROKEN, reason)
        self._transport.abort()

    def _end(self, ending: Ending, reason: str) -> None:
        if self.ending:
            return
        self.ending, self.reason = ending, reason
        if self._observer:
            self._observer.ended(self)
