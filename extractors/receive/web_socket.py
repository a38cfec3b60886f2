"""Read all that has arrived on a WebSocket at once, and return its frames together."""

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
"""Maximum bytes of one read: the payload of hundreds of KuCoin's frames."""


class Socket(WebSocket):
    """websocket-client's WebSocket with a buffer.

    Without the buffer, reading a frame takes three system calls. A reply that can't be sent is
    ignored: a later read reports the end of the connection.
    """

    _buffer = b""
    _position = 0
    _may_read = True
    _is_closing = False

    def frames(self) -> Iterator[bytes]:
        """Yield the data frames of one read from the network; block until data or a timeout.

        Answer pings. Raise ExchangeError at the other side's close frame, WebSocketException or
        OSError at any other end.
        """
        try:
            while True:
                # Return at control frames too, so that silence is detected while pings arrive.
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
        """Send a close frame, unless one was sent: each side may send only one (RFC 6455, 5.5.1)."""
        if not self._is_closing:
            self._is_closing = True
            with suppress(WebSocketException, OSError):
                super().send_close(status, reason)


def closed(payload: bytes) -> ExchangeError:
    """Return the error of a close frame, with its code and reason."""
    code = str(int.from_bytes(payload[:2], "big")) if payload else ""
    detail = f"{code} {payload[2:].decode(errors='replace')}".strip()
    return ExchangeError("closed", detail, at_once=True)
