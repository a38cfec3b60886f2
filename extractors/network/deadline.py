"""Limit the time of all steps of an attempt to connect, or of a request, together.

A socket's own timeout starts again with every byte, so a server that sends one byte now and then would
never time out. A deadline does not move.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Event, Timer


class Deadline:
    """A moment `seconds` after its creation."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, 0 after the deadline."""
        return max(0.0, self._at - time.monotonic())

    @contextmanager
    def enforced_on(self, connection: socket) -> Iterator[None]:
        """Shut the connection down at the deadline, whatever the block waits for then.

        Raise TimeoutError in place of the block's own error if the deadline has passed.
        """
        has_passed = Event()
        # A descriptor of its own: TLS replaces the socket object, and its reads must not go on
        # without encryption, as they do after SSLSocket.shutdown().
        watched = connection.dup()

        def shut_down() -> None:
            has_passed.set()
            with suppress(OSError):
                watched.shutdown(SHUT_RDWR)

        timer = Timer(self.left(), shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if has_passed.is_set():
                raise self.timeout("no answer") from error
            raise
        finally:
            timer.cancel()
            timer.join()
            watched.close()
        if has_passed.is_set():
            raise self.timeout("no answer")

    def timeout(self, what: str) -> TimeoutError:
        """Return the error to raise for what did not happen in time."""
        return TimeoutError(f"{what} within {self.seconds:g} s")
