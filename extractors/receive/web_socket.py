"""A WebSocket that reads as much as the network has, and hands on all frames of it together."""

from collections.abc import Iterator
from contextlib import suppress

from websocket import (
    ABNF,
    STATUS_NORMAL,
    WebSocket,
    WebSocketException,
    WebSocketTimeoutException,
)

from exchanges.exchange import ExchangeError

READ_SIZE = 65_536
"""Bytes that one read takes at most: the payload of hundreds of KuCoin's frames."""


class Socket(WebSocket):
    """websocket-client's WebSocket behind a buffer.

    By itself it reads each frame with three calls of the system. A reply that can't be sent is
    passed over: a later read reports the end of the connection.
    """

    _buffer = b""
    _position = 0
    _may_read = True
    _is_closing = False

    def frames(self) -> Iterator[bytes]:
        """Yield the data frames of one read from the network; block until it came or timed out.

        Pings are answered. Raise ExchangeError at the other side's close frame, WebSocketException or
        OSError at any other end.
        """
        try:
            while True:
                # Asked for control frames it returns at each, so that silence is seen though pings come.
                opcode, data = self.recv_data(control_frame=True)
                self._may_read = False
                if opcode == ABNF.OPCODE_CLOSE:
                    raise closed(data)
                if opcode not in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
                    yield bytes(data)
        except WebSocketTimeoutException:
            return
        finally:
            self._may_read = True

    def _recv(self, bufsize: int) -> bytes:
        if self._position == len(self._buffer):
            if not self._may_read:
                raise WebSocketTimeoutException("the buffer has no whole frame")
            self._buffer = super()._recv(READ_SIZE)  # type: ignore[no-untyped-call]
            self._position = 0
        data = self._buffer[self._position : self._position + bufsize]
        self._position += len(data)
        return data

    def pong(self, payload: str | bytes = "") -> None:
        with suppress(WebSocketException, OSError):
            super().pong(payload)

    def send_close(self, status: int = STATUS_NORMAL, reason: str | bytes = b"") -> None:
        """Send a close frame, the first time: one is all that either side may send (RFC 6455, 5.5.1)."""
        if not self._is_closing:
            self._is_closing = True
            with suppress(WebSocketException, OSError):
                super().send_close(status, reason)


def closed(payload: bytes) -> ExchangeError:
    """Return what a close frame says: its code and its reason."""
    code = str(int.from_bytes(payload[:2], "big")) if payload else ""
    detail = f"{code} {payload[2:].decode(errors='replace')}".strip()
    return ExchangeError("closed", detail, at_once=True)
