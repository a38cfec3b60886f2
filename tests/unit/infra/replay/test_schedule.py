"""Test the schedule of turns."""

import asyncio
import time

import pytest

from infra.replay.market import schedule as module
from infra.replay.market.schedule import Pace
from tests.support.waiting import pass_time


async def seconds_of(turns: int, schedule: Pace) -> float:
    began = time.monotonic()
    for _ in range(turns):
        await schedule.turn()
    return time.monotonic() - began


def test_the_first_turn_comes_at_once_and_the_others_an_interval_apart() -> None:
    async def measure() -> float:
        return await seconds_of(6, Pace(0.02))

    assert asyncio.run(measure()) >= 0.099


def test_turns_that_were_missed_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_LAG", 100.0)

    async def measure() -> float:
        schedule = Pace(0.15)
        await schedule.turn()
        pass_time(1.5)
        return await seconds_of(10, schedule)

    # Ten turns are due already. If the schedule had restarted, they would take 1.35 s.
    assert asyncio.run(measure()) < 1.3


def test_after_a_long_pause_missed_turns_are_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LARGEST_LAG", 0.0)

    async def measure() -> float:
        schedule = Pace(0.02)
        await schedule.turn()
        pass_time(0.2)
        return await seconds_of(6, schedule)

    # The first turn is late and runs immediately; the others follow a new schedule.
    assert asyncio.run(measure()) >= 0.099
