"""Add partitions to a topic while the journal has items: each item arrives once, in order."""

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Message

from core.message import partition_of
from core.topics import TOPIC_OF_EXCHANGE
from tests.support.kafka import all_items, items_of, place
from tests.support.ledger import Identity, identities
from tests.support.market import (
    EXCHANGES,
    Market,
    assert_exact_after_kills,
    leave_in_journal,
)
from tests.support.own_kafka import OwnKafka
from tests.support.waiting import pass_time

pytestmark = pytest.mark.fault

KILLS = int(os.environ.get("KILLS", "3"))
LEFT = 20_000
BEFORE, AFTER = 4, 6
"""Number of partitions."""


def grow(broker: OwnKafka) -> None:
    for topic in TOPIC_OF_EXCHANGE.values():
        broker.grow(topic, AFTER)


def pairs(found: Iterable[Identity]) -> Iterator[tuple[str, int]]:
    """Yield symbol and sequence of each item; every item must have both."""
    for identity in found:
        assert isinstance(identity, tuple)
        yield identity


def places(messages: list[Message]) -> dict[str, dict[int, list[int]]]:
    """Return the sequences by symbol and partition, in order."""
    found: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for message in messages:
        for symbol, sequence in pairs(identities(items_of(message))):
            found[symbol][place(message)[1]].append(sequence)
    return found


@pytest.mark.parametrize("is_running", [False, True], ids=["between processes", "under load"])
def test_items_keep_the_partition_of_their_time_and_are_in_it_once_whatever_was_killed(
    is_running: bool, own_market: Market, broker: OwnKafka, tmp_path: Path
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    left = {
        each: leave_in_journal(tmp_path / "journal" / each, each, [900] * LEFT)
        for each in EXCHANGES
    }
    own_market.start()
    # Once this is logged, Kafka has some of the left items.
    own_market.wait_for_log("delivering topic=")
    if is_running:
        grow(broker)
        own_market.wait_for_frames()
        own_market.kill()
    else:
        own_market.kill()
        grow(broker)
    sent = {each: len(all_items(own_market.messages(each))) for each in EXCHANGES}
    print(f"sent at the kill: {sent}")
    for _ in range(KILLS - 1):
        own_market.start()
        pass_time(chance.uniform(1.0, 3.0))
        own_market.kill()
    own_market.start()
    # Items received before this line go to the partitions that the former process knew.
    own_market.wait_for_log(f"_raw_data': {AFTER}}}")
    known_at = time.time_ns() // 1000
    own_market.wait_for_frames()
    own_market.close()
    own_market.wait_for_kafka()
    own_market.end_with_empty_journals()
    assert_exact_after_kills(own_market, left)
    for each in EXCHANGES:
        found = places(own_market.messages(each))
        last = own_market.connections(each)[-1]
        frames = [frame for frame in last.frames if frame.written_at > known_at]
        assert frames
        new = {symbol for frame in frames for symbol, _ in pairs(frame.identities)}
        for symbol, partitions in found.items():
            before, after = partition_of(symbol, BEFORE), partition_of(symbol, AFTER)
            if symbol.startswith("LEFT"):
                assert list(partitions) == [before]
            in_order = partitions.pop(before, [])
            if before != after:
                in_order += partitions.get(after, [])
                assert (after in partitions) or symbol not in new
            partitions.pop(after, None)
            assert not partitions
            assert in_order == sorted(in_order)
