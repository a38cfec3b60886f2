"""Revoke a right under load and grant it again: nothing is lost, and other topics do not wait."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]

from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.replay.faults.faults import Drop
from tests.support.kafka import Topic
from tests.support.market import EXCHANGES, Market, Start, assert_exact, market_of
from tests.support.replay_exchange import inflict
from tests.support.secure_kafka import SecureKafka, secure_kafka
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.fault

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "5"))
RAW_TOPICS = (BINANCE.raw_topic, KUCOIN.raw_topic)
MISSING = "user prices needs Write and Describe on topic "


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        for topic in (*RAW_TOPICS, INSTRUMENTS):
            broker.grant("Read", topic)
            broker.grant("Write", topic)
        broker.grant("Write", FEED_EVENTS)
        broker.grant("Describe", "extractors", ResourceType.GROUP)
        yield broker


@pytest.fixture
def market(broker: SecureKafka, settings: Settings, extractor: Start) -> Iterator[Market]:
    user = broker.settings
    there = replace(
        settings,
        kafka_bootstrap_servers=user.kafka_bootstrap_servers,
        kafka_client_properties=user.kafka_client_properties,
    )
    with market_of(there, extractor, broker.owner) as market:
        yield market


def test_right_to_write_that_is_revoked_for_a_time_costs_nothing(
    market: Market, broker: SecureKafka
) -> None:
    market.begin()
    market.wait_for_log("delivering topic=")
    for topic in RAW_TOPICS:
        broker.revoke("Write", topic)
    market.wait_for_log(MISSING)
    pass_time(OUTAGE)
    market.wait_for_frames()
    for each in EXCHANGES:
        assert f"{MISSING}{each}_raw_data" in market.extractors[each].log()
        assert [written.ending for written in market.connections(each)] == [None]
    for topic in RAW_TOPICS:
        broker.grant("Write", topic)
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    assert_exact(market)


def interruptions(events: Topic) -> dict[str, list[bool]]:
    """Return by exchange, for each message about an interruption, whether it is over."""
    found: dict[str, list[bool]] = {each: [] for each in EXCHANGES}
    for message in events.messages():
        event = json.loads(message.value() or b"")
        if event["kind"] == "interruption":
            found[event["exchange"]].append(event["to"] is not None)
    return found


START = {each: [False, True] for each in EXCHANGES}
"""An extractor reports an interruption from its start to its first ticker."""


def test_without_the_right_to_a_small_topic_the_raw_ones_go_on_and_its_messages_wait(
    market: Market, broker: SecureKafka
) -> None:
    events = Topic(broker.owner, FEED_EVENTS)
    market.begin()
    wait_for(lambda: interruptions(events), lambda found: found == START)
    broker.revoke("Write", FEED_EVENTS)
    for each in EXCHANGES:
        inflict(market.address, each, Drop(), "open")
    market.wait_for_log(f"{MISSING}{FEED_EVENTS}")
    before = {each: len(market.messages(each)) for each in EXCHANGES}
    wait_for(
        lambda: {each: len(market.messages(each)) for each in EXCHANGES},
        lambda now: all(now[each] >= before[each] + 20 for each in EXCHANGES),
    )
    assert interruptions(events) == START
    broker.grant("Write", FEED_EVENTS)
    wait_for(
        lambda: interruptions(events),
        lambda found: found == {each: [*START[each], False, True] for each in EXCHANGES},
    )
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    for each in EXCHANGES:
        assert "producer failed" not in market.extractors[each].log()
