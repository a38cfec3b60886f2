"""Test that kills are at random moments and hit each program equally often."""

import random
from collections import Counter

from tests.soak.kills import PROGRAMS, plan


def test_each_program_is_killed_equally_often_in_the_given_time() -> None:
    planned = plan(24, 1800.0, random.Random(1))
    moments = [moment for moment, _ in planned]
    counts = Counter(program for _, program in planned)
    assert moments == sorted(moments)
    assert 0 <= moments[0] < moments[-1] <= 1800
    assert counts.keys() == set(PROGRAMS)
    assert set(counts.values()) == {3, 4}


def test_another_seed_is_another_order() -> None:
    orders = {tuple(name for _, name in plan(14, 60.0, random.Random(seed))) for seed in range(20)}
    assert len(orders) == 20
