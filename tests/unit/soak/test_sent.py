"""Test which items an extractor must have kept, depending on how the connection ended."""

from array import array

import numpy as np
import pytest

from tests.soak.sent import MARGIN, Written, everything, surely_received

LONG = 10 * MARGIN


def written(ending: str) -> Written:
    """Return a connection with item 1 at the start, 2 half a margin before the end, and 3 at the end."""
    times = array("q", [0, LONG - MARGIN // 2, LONG])
    return Written(array("q", [1, 2, 3]), times, LONG, ending)


def test_all_items_of_a_connection_that_the_exchange_closed_are_sure() -> None:
    assert written("closed").sure().tolist() == [1, 2, 3]


@pytest.mark.parametrize("ending", ["broken", "left"])
def test_items_just_before_the_end_of_another_connection_are_not_sure(ending: str) -> None:
    assert written(ending).sure().tolist() == [1]


def test_items_of_several_connections_count_once() -> None:
    both = [written("closed"), written("broken")]
    assert everything(both).tolist() == [1, 2, 3]
    assert surely_received(both).tolist() == [1, 2, 3]
    assert surely_received([]).dtype == np.int64
