"""A topic that takes only small messages gets small ones, and costs only the items that are too large."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from tests.support.market import (
    EXCHANGES,
    Market,
    Start,
    everything,
    leave_in_journal,
    market_of,
    written,
)
from tests.support.own_kafka import OwnKafka, own_kafka

LARGEST = 20_000
"""Bytes of a batch that the topics take."""

SIZES = [900] * 200 + [90_000] + [900] * 200 + [80_000]
"""Bytes of items that a process left: two of them are too large, compressed or not."""

TOO_LARGE = 2


@pytest.fixture
def broker(tmp_path: Path, settings: Settings) -> Iterator[OwnKafka]:
    with own_kafka(tmp_path, settings) as broker:
        for topic in TOPIC_OF_EXCHANGE.values():
            broker.configure(topic, "max.message.bytes", str(LARGEST))
        yield broker


@pytest.fixture
def market(broker: OwnKafka, extractor: Start) -> Iterator[Market]:
    with market_of(broker.settings, extractor) as market:
        yield market


def test_messages_become_small_and_only_items_that_are_too_large_by_themselves_are_left_out(
    market: Market, tmp_path: Path
) -> None:
    left = {each: leave_in_journal(tmp_path / "journal" / each, each, SIZES) for each in EXCHANGES}
    market.begin()
    market.wait_for_log("message refused", times=TOO_LARGE)
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    refused = {each: market.extractors[each].metric("delivery_errors_total") for each in EXCHANGES}
    market.end_with_empty_journals()
    for each in EXCHANGES:
        sent = left[each] + written(market.connections(each), everything)
        too_large = {item for item in left[each] if len(item) > LARGEST}
        assert set(sent - market.in_topic(each)) == too_large
        assert not market.in_topic(each) - sent
        assert refused[each] == len(too_large) == TOO_LARGE
        assert market.in_landing(each) == sent
