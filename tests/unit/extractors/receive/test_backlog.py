"""Test the backlog: many notices at a time, in order, and blocking at its limit."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Thread

from extractors.receive.backlog import Backlog
from extractors.receive.notices import Notice, Opening
from tests.support.waiting import DEADLINE, pass_time, wait_for

MOMENT = 0.1
"""Seconds after which a waiting thread counts as blocked."""


def notices(*numbers: int) -> list[Notice]:
    return [Opening(number, 0) for number in numbers]


@contextmanager
def in_a_thread(act: Callable[[], object]) -> Iterator[Thread]:
    thread = Thread(target=act, daemon=True)
    thread.start()
    yield thread
    wait_for(thread.is_alive, lambda is_alive: not is_alive)


def putting(backlog: Backlog, what: Sequence[Notice]) -> Callable[[], object]:
    return lambda: backlog.put(what)


def test_take_returns_all_that_waits_in_the_order_of_its_arrival() -> None:
    backlog = Backlog(10)
    backlog.put(notices(1, 2))
    backlog.put(notices(3))
    assert len(backlog) == 3
    assert backlog.take(DEADLINE) == notices(1, 2, 3)
    assert len(backlog) == 0
    backlog.put(notices(4))
    assert backlog.take(DEADLINE) == notices(4)


def test_take_of_nothing_ends_after_its_time() -> None:
    backlog = Backlog(10)
    assert backlog.take(0.0) == []
    began = time.monotonic()
    assert backlog.take(0.05) == []
    assert 0.05 <= time.monotonic() - began < DEADLINE / 2


def test_reader_wakes_with_the_first_notice() -> None:
    backlog = Backlog(10)
    taken: list[Notice] = []
    with in_a_thread(lambda: taken.extend(backlog.take(10 * DEADLINE))) as reader:
        pass_time(MOMENT)
        assert reader.is_alive()
        backlog.put(notices(1))
    assert taken == notices(1)


def test_notices_that_are_put_together_stay_together_beyond_the_limit() -> None:
    backlog = Backlog(2)
    backlog.put(notices(1))
    assert not backlog.is_full
    backlog.put(notices(2, 3, 4))
    assert backlog.is_full
    assert backlog.take(DEADLINE) == notices(1, 2, 3, 4)
    assert not backlog.is_full


def test_writer_waits_while_the_backlog_is_full_and_wakes_when_it_was_read() -> None:
    backlog = Backlog(2)
    backlog.put(notices(1, 2))
    with in_a_thread(putting(backlog, notices(3))) as writer:
        pass_time(MOMENT)
        assert writer.is_alive()
        assert len(backlog) == 2
        assert backlog.take(DEADLINE) == notices(1, 2)
        assert backlog.take(DEADLINE) == notices(3)
    assert len(backlog) == 0


def test_writers_that_wait_together_all_get_their_turn() -> None:
    backlog = Backlog(1)
    backlog.put(notices(0))
    taken: list[Notice] = []

    def take_more() -> int:
        taken.extend(backlog.take(MOMENT))
        return len(taken)

    with (
        in_a_thread(putting(backlog, notices(1, 2))),
        in_a_thread(putting(backlog, notices(3, 4))),
        in_a_thread(putting(backlog, notices(5, 6))),
    ):
        wait_for(take_more, lambda count: count == 7)
    numbers = [each.connection for each in taken if isinstance(each, Opening)]
    assert numbers[0] == 0
    assert sorted(zip(numbers[1::2], numbers[2::2], strict=True)) == [(1, 2), (3, 4), (5, 6)]


def test_nothing_is_lost_or_reordered_between_two_threads() -> None:
    backlog = Backlog(7)
    count = 5_000

    def write() -> None:
        for number in range(0, count, 5):
            backlog.put(notices(*range(number, number + 5)))

    taken: list[Notice] = []
    largest = 0
    with in_a_thread(write):
        while len(taken) < count and (some := backlog.take(DEADLINE)):
            largest = max(largest, len(some))
            taken += some
    assert taken == notices(*range(count))
    assert largest < 7 + 5
