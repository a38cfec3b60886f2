"""Test that one deadline limits all steps, whatever a socket is waiting for."""

import socket
import time
from contextlib import suppress
from threading import Event, Thread

import pytest

from extractors.network.deadline import Deadline


def test_what_is_left_falls_to_nothing_and_no_further() -> None:
    deadline = Deadline(60.0)
    assert 50.0 < deadline.left() <= 60.0
    assert Deadline(0.0).left() == 0.0


def test_read_that_never_ends_is_broken_off_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no answer within 0\.2 s$"):
            with Deadline(0.2).enforced_on(ours):
                ours.recv(1)
        assert 0.2 <= time.monotonic() - started < 10


def test_bytes_that_trickle_in_do_not_move_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    is_over = Event()

    def trickle() -> None:
        # At the deadline the other side is shut down.
        with suppress(BrokenPipeError):
            while not is_over.wait(0.02):
                theirs.sendall(b".")

    with ours, theirs:
        server = Thread(target=trickle)
        server.start()
        started = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                with Deadline(0.3).enforced_on(ours):
                    while ours.recv(1):
                        pass
        finally:
            is_over.set()
            server.join()
        assert 0.3 <= time.monotonic() - started < 10


def test_error_before_the_deadline_stays_what_it_is() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(LookupError, match="own"):
            with Deadline(60.0).enforced_on(ours):
                raise LookupError("own")


def test_connection_that_was_ready_in_time_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with Deadline(60.0).enforced_on(ours):
            theirs.sendall(b"a")
            assert ours.recv(1) == b"a"
        theirs.sendall(b"b")
        assert ours.recv(1) == b"b"
