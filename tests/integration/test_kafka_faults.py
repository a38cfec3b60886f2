"""Fill Kafka's disk, delete a topic or truncate its files: unconfirmed and truncated items arrive once.

A foreign producer in a raw topic causes no delay and no duplicate.
"""

import json
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.topics import TOPIC_OF_EXCHANGE
from tests.support.market import (
    EXCHANGES,
    Market,
    assert_exact,
    assert_exact_after_kills,
    counted,
    everything,
    written,
)
from tests.support.own_kafka import OwnKafka, foreign_producer, values_in
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.fault

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "5"))
KILLS = int(os.environ.get("KILLS", "2"))
LOST_BYTES = 20_000
"""Bytes cut from the end of each partition's file: some of its last messages."""


def items_in(partitions: list[Path]) -> "Counter[str]":
    """Count the items in the files of partitions to which nobody writes."""
    return counted(item for value in values_in(partitions) for item in json.loads(value))


def items_in_last_messages(partitions: list[Path]) -> "Counter[str]":
    """Count the items of each partition's last message.

    It may have been written without a confirmation before the topic was deleted. Then it is sent again.
    """
    last = [value for path in partitions for value in values_in([path])[-1:]]
    return counted(item for value in last for item in json.loads(value))


def test_broker_without_room_on_its_disk_costs_nothing_once_it_has_some(
    own_market: Market, broker: OwnKafka
) -> None:
    own_market.begin()
    own_market.wait_for_log("delivering topic=")
    broker.limit_files(200_000)
    # Kafka exits when its only disk fails.
    wait_for(broker.process.is_running, lambda is_running: not is_running)
    pass_time(OUTAGE)
    own_market.wait_for_frames()
    broker.restart()
    own_market.wait_for_frames()
    own_market.close()
    own_market.wait_for_kafka()
    own_market.end_with_empty_journals()
    assert_exact(own_market)


def test_topic_that_is_deleted_and_created_again_gets_what_the_old_one_had_not_confirmed(
    own_market: Market, broker: OwnKafka
) -> None:
    own_market.begin()
    own_market.wait_for_log("delivering topic=")
    own_market.wait_for_frames(5)
    old = {each: broker.delete(TOPIC_OF_EXCHANGE[each]) for each in EXCHANGES}
    own_market.wait_for_frames()
    pass_time(OUTAGE)
    broker.create_topics()
    own_market.wait_for_frames()
    own_market.close()
    own_market.wait_for_kafka()
    own_market.end_with_empty_journals()
    for each in EXCHANGES:
        sent = written(own_market.connections(each), everything)
        got = own_market.in_topic(each) + items_in(old[each])
        assert sent - got == Counter()
        assert got - sent <= items_in_last_messages(old[each])
        assert own_market.in_landing(each) == sent


def test_messages_that_kafka_confirmed_and_lost_are_sent_again_by_another_producer(
    own_market: Market, broker: OwnKafka
) -> None:
    """A power failure can lose the last confirmed messages, because Kafka does not wait for its disk.

    The next message then has a sequence that does not follow, which is fatal for an idempotent producer.
    """
    own_market.begin()
    own_market.wait_for_log("delivering topic=")
    own_market.wait_for_frames(5)
    broker.process.kill()
    for topic in TOPIC_OF_EXCHANGE.values():
        broker.lose(topic, LOST_BYTES)
    broker.restart()
    own_market.wait_for_log("OUT_OF_ORDER_SEQUENCE_NUMBER")
    own_market.wait_for_frames()
    own_market.close()
    own_market.wait_for_kafka()
    own_market.end_with_empty_journals()
    assert_exact(own_market)


def test_foreign_producer_delays_no_start_and_doubles_nothing(
    own_market: Market, broker: OwnKafka
) -> None:
    with ExitStack() as foreign:
        for topic in TOPIC_OF_EXCHANGE.values():
            foreign.enter_context(foreign_producer(broker.settings, topic))
        own_market.begin()
        for kills in range(KILLS):
            own_market.wait_for_log("delivering topic=", times=kills + 1)
            pass_time(1.0)
            own_market.kill()
            own_market.begin()
        own_market.close()
        own_market.wait_for_kafka()
        own_market.end_with_empty_journals()
    assert_exact_after_kills(own_market)
