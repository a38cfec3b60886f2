"""Publish the progress of queries as offsets of consumer groups, which Kafka's own tools show."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient, ResourceType  # type: ignore[attr-defined]
from pyspark.sql import DataFrame

from core.kafka_client import client_configuration
from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.ports import free_ports
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.run.consumer_groups import (
    PAUSE,
    RENEWAL,
    STARTING,
    TIMEOUT,
    ConsumerGroup,
    ConsumerGroups,
)
from spark_jobs.run.sink import Counts, Sink
from tests.support.consumer_groups import described
from tests.support.kafka import all_ends, produce
from tests.support.own_kafka import OwnKafka
from tests.support.secure_kafka import SecureKafka, secure_kafka
from tests.support.waiting import wait_for

GROUP = "live_prices"
PLACE = (BINANCE.raw_topic, 0)
LOGGER = "spark_jobs.run.consumer_groups"


class SinkAt(Sink):
    """A sink whose progress a test sets."""

    query = GROUP

    def __init__(self, reached: Offsets) -> None:
        super().__init__()
        self.reached = reached

    def progress(self) -> Offsets:
        return self.reached

    def _write_batch(self, batch: DataFrame) -> Counts:
        raise NotImplementedError


def committed(settings: Settings) -> Offsets:
    """Return the group's offsets; none while a new broker still loads them."""
    client = AdminClient({**client_configuration(settings), "log_level": 0})
    asked = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])
    try:
        found = asked[GROUP].result(timeout=30).topic_partitions
    except KafkaException as error:
        if error.args[0].code() not in STARTING:
            raise
        return {}
    return {(each.topic, each.partition): each.offset for each in found}


def delete(settings: Settings) -> None:
    """Delete the group, as Kafka does with offsets that were not committed for a week."""
    client = AdminClient({**client_configuration(settings), "log_level": 0})
    client.delete_consumer_groups([GROUP])[GROUP].result(timeout=30)


def test_kafkas_own_tool_shows_what_a_query_has_not_read(broker: OwnKafka) -> None:
    produce(broker.settings, PLACE[0], b"1", b"2", b"3")
    produce(broker.settings, KUCOIN.raw_topic, b"1", partition=3)
    ends = all_ends(broker.settings)
    sink = SinkAt({**ends, PLACE: 1})
    groups = ConsumerGroups(broker.settings, [sink])
    groups.start()
    wait_for(lambda: committed(broker.settings), lambda offsets: offsets == sink.reached)
    assert described(broker.settings, GROUP) == {
        place: (1, 2) if place == PLACE else (end, 0) for place, end in ends.items()
    }

    # What was committed last is published, although the thread has had no time to look again.
    sink.reached = ends
    groups.close()
    assert described(broker.settings, GROUP)[PLACE] == (3, 0)


def test_offsets_of_a_quiet_topic_are_published_again(settings: Settings) -> None:
    def published() -> Offsets:
        ConsumerGroup(settings, SinkAt({PLACE: 0})).publish(now=0.0)
        return committed(settings)

    # A broker that has just started may refuse the first attempts.
    wait_for(published)
    group = ConsumerGroup(settings, SinkAt({PLACE: 0}))
    group.publish(now=0.0)
    delete(settings)
    group.publish(now=RENEWAL - 1)
    assert committed(settings) == {}
    group.publish(now=RENEWAL)
    assert committed(settings) == {PLACE: 0}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        yield broker


@pytest.mark.parametrize(
    ("name", "kind", "missing"),
    [
        (GROUP, ResourceType.GROUP, f"group {GROUP}"),
        (PLACE[0], ResourceType.TOPIC, f"the topics of group {GROUP}"),
    ],
    ids=["group", "topic"],
)
def test_missing_right_is_logged_once_and_offsets_are_published_after_a_grant(
    secured: SecureKafka,
    caplog: pytest.LogCaptureFixture,
    name: str,
    kind: ResourceType,
    missing: str,
) -> None:
    for granted, of_kind in ((GROUP, ResourceType.GROUP), (PLACE[0], ResourceType.TOPIC)):
        secured.grant("Read", granted, of_kind)
    secured.revoke("Read", name, kind)
    group = ConsumerGroup(secured.settings, SinkAt({PLACE: 0}))
    with caplog.at_level(logging.INFO, LOGGER):
        for attempt in range(3):
            group.publish(now=attempt * PAUSE)
        refused = (
            f"offsets not published group={GROUP} reason='user prices needs Read on {missing}'"
        )
        assert caplog.messages == [refused]
        secured.grant("Read", name, kind)
        # Without a pause, a missing right would be a line in the broker's log each second.
        group.publish(now=3 * PAUSE - 1)
        assert caplog.messages == [refused]
        group.publish(now=3 * PAUSE)
    assert caplog.messages == [refused, f"offsets published group={GROUP}"]
    assert committed(secured.owner) == {PLACE: 0}
    delete(secured.owner)


def test_kafka_that_is_unavailable_delays_the_end_by_seconds_only(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    nobody = replace(settings, kafka_bootstrap_servers=f"127.0.0.1:{port}")
    groups = ConsumerGroups(nobody, [SinkAt({PLACE: 1})])
    groups.start()
    wait_for(lambda: caplog.messages)
    began = time.monotonic()
    groups.close()
    assert time.monotonic() - began < 2 * TIMEOUT
    assert [message.partition(" reason=")[0] for message in caplog.messages] == [
        f"offsets not published group={GROUP}"
    ]
