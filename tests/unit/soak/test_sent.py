"""What an extractor must have kept of a connection depends on how the connection ended."""

from array import array

import numpy as np

from tests.soak.sent import MARGIN, Written, everything, surely_received

SECOND = 1_000_000
LONG = 10 * MARGIN


def written(ending: str | None, ended_at: int | None = LONG) -> Written:
    """Item 1 at the start, item 2 half a margin before the end, item 3 at the end."""
    times = array("q", [0, LONG - MARGIN // 2, LONG])
    return Written(0, array("q", [1, 2, 3]), times, ended_at, ending)


def test_all_of_a_connection_that_the_exchange_closed() -> None:
    assert written("closed").sure([]).tolist() == [1, 2, 3]
    assert written("closed").sure([LONG]).tolist() == [1, 2, 3]


def test_what_was_not_written_just_before_a_connection_was_broken() -> None:
    assert written("broken").sure([]).tolist() == [1]


def test_what_was_not_written_just_before_the_extractor_was_killed() -> None:
    for noted_at in (LONG, LONG + SECOND // 2):
        assert written("left").sure([noted_at]).tolist() == [1]


def test_nothing_of_a_connection_that_the_extractor_left_by_itself() -> None:
    assert written("left").sure([LONG + MARGIN, -SECOND]).tolist() == []


def test_items_of_several_connections_count_once() -> None:
    both = [written("closed"), written("broken")]
    assert everything(both).tolist() == [1, 2, 3]
    assert surely_received(both, []).tolist() == [1, 2, 3]
    assert surely_received([], []).dtype == np.int64
