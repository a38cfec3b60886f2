"""Test what faults do to the data of a connection, without a connection."""

import json

from infra.replay.faults.disturbances import Dialect, Disturbances
from infra.replay.faults.faults import (
    Disturbance,
    Drop,
    Error,
    NoData,
    Reorder,
    Repeat,
    Silence,
    Strike,
    Unreadable,
)
from infra.replay.kucoin.frames import order_key

# A frame is a letter and a number: the letter is its symbol.
DIALECT = Dialect(
    exchange="test",
    lacks=frozenset(),
    error=lambda code: json.dumps(code),
    announcement=lambda: None,
    order_key=lambda text: text[0],
    spoilt=(
        lambda text, number: [text, f"behind {number}"],
        lambda text, number: [f"{text} spoilt {number}"],
    ),
)


def suffering(*faults: Disturbance) -> Disturbances:
    disturbances = Disturbances(DIALECT)
    for fault in faults:
        disturbances.add(fault)
    return disturbances


def passed(disturbances: Disturbances, frames: str) -> list[Strike | str]:
    """Return the frames that pass, and the strikes between them."""
    return [
        strike or text for each in frames.split() for strike, text in disturbances.pass_on(each)
    ]


def test_a_strike_comes_once_after_the_given_number_of_frames() -> None:
    drop, error = Drop(after_frames=2), Error(code=500)
    assert passed(suffering(drop, error), "a1 a2 a3 a4") == [error, "a1", "a2", drop, "a3", "a4"]


def test_frames_are_counted_from_when_the_fault_came() -> None:
    disturbances = suffering(Repeat(every=100))
    passed(disturbances, "a1 a2 a3")
    disturbances.add(Drop(after_frames=1))
    assert passed(disturbances, "a4 a5") == ["a4", Drop(after_frames=1), "a5"]


def test_without_data_nothing_passes_any_more() -> None:
    assert passed(suffering(NoData(after_frames=1)), "a1 a2 a3") == ["a1"]


def test_silence_is_reported() -> None:
    assert suffering(Silence()).is_silent
    assert not suffering(Drop()).is_silent


def test_a_frame_that_is_held_comes_behind_the_next_of_its_symbol() -> None:
    frames = passed(suffering(Reorder(every=3)), "a1 b1 a2 b2 c1 a3 b3 c2")
    assert frames == ["a1", "b1", "b2", "c1", "a3", "a2", "b3", "c2"]


def test_any_text_of_a_recording_has_a_key_of_order() -> None:
    ticker = '{"topic":"/market/ticker:all","subject":"BTC-USDT"}'
    texts = [ticker, "x", "7", "[]", '{"topic":"/market/ticker:all"}', "[" * 100_000]
    assert [*map(order_key, texts)] == ["/market/ticker:all BTC-USDT", "", "", "", "", ""]


def test_each_nth_frame_comes_twice() -> None:
    frames = passed(suffering(Repeat(every=2)), "a1 a2 a3 a4")
    assert frames == ["a1", "a2", "a2", "a3", "a4", "a4"]


def test_the_ways_to_add_something_unreadable_take_turns() -> None:
    frames = passed(suffering(Unreadable(every=2)), "a1 a2 a3 a4 a5 a6")
    assert frames == ["a1", "a2", "behind 1", "a3", "a4 spoilt 2", "a5", "a6", "behind 3"]


def test_alterations_combine_whatever_the_order_of_their_coming() -> None:
    faults = [Unreadable(every=4), Repeat(every=3), Reorder(every=2)]
    expected = ["a1", "a3", "a2", "a2", "behind 1", "a5"]
    assert passed(suffering(*faults), "a1 a2 a3 a4 a5")[:6] == expected
    assert passed(suffering(*reversed(faults)), "a1 a2 a3 a4 a5")[:6] == expected
