"""Limit the total time of all steps of a request, or of an attempt to connect.

A socket's timeout restarts with every byte, so a server that sends one byte now and then would never
time out. A deadline does not move.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from threading import Event, Timer


class Deadline:
    """Point in time, `seconds` after its creation."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left (0 after the deadline)."""
        return max(0.0, self._at - time.monotonic())

    @contextmanager
    def enforced_on(self, connection: socket) -> Iterator[None]:
        """Shut the connection down at the deadline, whatever the block is waiting for.

        Raise TimeoutError instead of the block's error if the deadline has passed.
        """
        has_passed = Event()
        # Shut down a duplicate of the descriptor: TLS may replace the socket object in the block, and
        # after SSLSocket.shutdown() reads would continue without encryption.
        watched = socket(fileno=os.dup(connection.fileno()))

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

    def timeout(self, problem: str) -> TimeoutError:
        """Return an error such as `no answer within 10 s`, where `no answer` is the problem."""
        return TimeoutError(f"{problem} within {self.seconds:g} s")
