"""Send to a topic with a small limit: messages shrink, and only items above it are left out."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.message import Item, encode_item
from core.settings import Settings
from core.topics import INSTRUMENTS, TOPIC_OF_EXCHANGE
from exchanges.binance import BINANCE
from extractors.journal.reader import Line
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_kafka.batcher import Batch
from extractors.to_kafka.delivered import Delivered, PartitionProgress
from extractors.to_kafka.producer import Producer, TooLargeError
from extractors.to_kafka.publisher import Publisher
from tests.support.kafka import Topic
from tests.support.market import (
    EXCHANGES,
    Market,
    everything,
    leave_in_journal,
    written,
)
from tests.support.own_kafka import OwnKafka, own_kafka
from tests.support.waiting import DEADLINE

LARGEST = 20_000
"""Maximum bytes of a batch that the topics take."""

SIZES = [900] * 200 + [90_000] + [900] * 200 + [80_000]
"""Bytes of the items in the journal: two are too large, compressed or not."""

TOO_LARGE = 2


@pytest.fixture
def broker(tmp_path: Path, settings: Settings) -> Iterator[OwnKafka]:
    with own_kafka(tmp_path, settings) as broker:
        for topic in TOPIC_OF_EXCHANGE.values():
            broker.configure(topic, "max.message.bytes", str(LARGEST))
        yield broker


def test_messages_become_small_and_only_items_that_are_too_large_by_themselves_are_left_out(
    own_market: Market, tmp_path: Path
) -> None:
    left = {each: leave_in_journal(tmp_path / "journal" / each, each, SIZES) for each in EXCHANGES}
    own_market.begin()
    own_market.wait_for_log("message refused", times=TOO_LARGE)
    own_market.wait_for_frames()
    own_market.close()
    own_market.wait_for_kafka()
    refused = {
        each: own_market.extractors[each].metric("delivery_errors_total") for each in EXCHANGES
    }
    own_market.end_with_empty_journals()
    for each in EXCHANGES:
        sent = left[each] + written(own_market.connections(each), everything)
        too_large = {item for item in left[each] if len(item) > LARGEST}
        assert set(sent - own_market.in_topic(each)) == too_large
        assert not own_market.in_topic(each) - sent
        assert refused[each] == len(too_large) == TOO_LARGE
        assert own_market.in_landing(each) == sent


def test_nothing_behind_a_first_message_that_is_too_large_is_written(broker: OwnKafka) -> None:
    """Kafka would accept a producer's second message if it has none of that producer yet."""
    delivered = Delivered(
        "journal", partitions={number: PartitionProgress(0, 0) for number in range(4)}
    )
    delivered.set_partitions(4, 0)
    topic = Topic(broker.settings, BINANCE.raw_topic)
    producer = Producer(
        "binance",
        broker.settings,
        "journal",
        delivered,
        set(),
        3 * LARGEST,
        Shutdown(30.0),
        Metrics("binance"),
    )
    items: list[Item] = [
        {"noise": secrets.token_hex(LARGEST // 2), "received_at": 1} for _ in range(3)
    ]
    items += [{"number": number, "received_at": 1} for number in range(5_000)]
    lines = [Line(number, "127.0.0.1", "A", encode_item(each)) for number, each in enumerate(items)]
    with closing(producer), pytest.raises(TooLargeError):
        producer.send(Batch(lines), {})
        producer.flush()
    assert topic.messages() == []


def test_instruments_that_are_too_large_only_together_arrive(broker: OwnKafka) -> None:
    broker.configure(INSTRUMENTS, "max.message.bytes", "1000")
    topic = Topic(broker.settings, INSTRUMENTS)
    publisher = Publisher(broker.settings, Shutdown(10.0))
    for number in range(100):
        publisher.publish(INSTRUMENTS, b"%d" % number, {"symbol": "A" * 100})
    publisher.start()
    publisher.close()
    publisher.join(DEADLINE)
    assert {message.key() for message in topic.messages()} == {b"%d" % n for n in range(100)}
