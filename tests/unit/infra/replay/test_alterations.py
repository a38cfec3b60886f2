"""Test the faults that alter the frames of a connection."""

import json
from itertools import pairwise

import pytest

from infra.replay.faults.faults import (
    Close,
    Fault,
    Reorder,
    Repeat,
    Unreadable,
)
from tests.support.ledger import Ledger
from tests.support.replay_exchange import inflict
from tests.support.small_exchange import (
    EXCHANGES,
    identities,
    last_of,
    subscribed,
    texts_of,
    until_the_end,
)

pytestmark = pytest.mark.long


def sent(address: str, ledger: Ledger, exchange: str, fault: Fault, frames: int) -> list[str]:
    """Return the first `frames` data frames sent to a connection with a fault."""
    inflict(address, exchange, fault)
    inflict(address, exchange, Close(after_frames=frames))
    with subscribed(address, exchange) as client:
        texts, _ = until_the_end(client)
    assert texts_of(last_of(ledger, exchange)) == texts
    assert len(texts) == frames
    return texts


def test_reorder_exchanges_neighbouring_frames_of_a_symbol(address: str, ledger: Ledger) -> None:
    sequences: dict[str, list[int]] = {}
    for text in sent(address, ledger, "kucoin", Reorder(every=7), 200):
        frame = json.loads(text)
        sequences.setdefault(frame["subject"], []).append(int(frame["data"]["sequence"]))
    swapped = 0
    for each in sequences.values():
        swapped += sum(later < earlier for earlier, later in pairwise(each))
        # No frame is missing: with the swaps undone, sequences grow by KuCoin's steps. The last step is left
        # out, because the second of two swapped frames may not have been received.
        steps = [later - earlier for earlier, later in pairwise(sorted(each))]
        assert all(1 <= step <= 33 for step in steps[:-1])
    assert swapped > 15


def test_reorder_swaps_two_of_binances_arrays(address: str, ledger: Ledger) -> None:
    texts = sent(address, ledger, "binance", Reorder(every=4), 9)
    times = [max(item["E"] for item in json.loads(text)) for text in texts]
    assert [sorted(times).index(at) for at in times] == [0, 1, 2, 4, 3, 5, 6, 8, 7]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_repeat_sends_each_nth_frame_twice(address: str, ledger: Ledger, exchange: str) -> None:
    disturbed = sent(address, ledger, exchange, Repeat(every=3), 8)
    assert disturbed[2] == disturbed[3]
    assert disturbed[6] == disturbed[7]
    assert len(set(disturbed)) == 6


def test_unreadable_frames_stand_between_the_good_ones(address: str, ledger: Ledger) -> None:
    disturbed = sent(address, ledger, "kucoin", Unreadable(every=2), 9)
    assert disturbed[2] == "unreadable 1"
    assert disturbed[5] == '{"type":"unknown","data":2}'
    assert disturbed[8] == "unreadable 3"
    assert identities(last_of(ledger, "kucoin"))[2::3] == disturbed[2::3]


def test_unreadable_elements_stand_among_the_good_ones(address: str, ledger: Ledger) -> None:
    disturbed = sent(address, ledger, "binance", Unreadable(every=2), 8)
    assert disturbed[2] == "unreadable 1"
    assert disturbed[5] == '{"e":"unknown","E":2}'
    array = json.loads(disturbed[7])
    assert array[-1] == "unreadable 3"
    assert all(item["e"] == "24hrMiniTicker" for item in array[:-1])
    known = [(item["s"], item["E"]) for item in array[:-1]]
    written = last_of(ledger, "binance").frames
    assert written[7].identities == (*known, '"unreadable 3"')
    assert written[5].identities == ('{"e":"unknown","E":2}',)
