"""What Kafka gets of a batch, in which order, and from when on it counts as delivered."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Message

from core.message import MAX_MESSAGE_BYTES, encode_item, partition_of
from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, FEED_EVENTS, INSTRUMENTS
from extractors import producer as module
from extractors.batcher import Batch
from extractors.journal_reader import Line
from extractors.metrics import Metrics
from extractors.producer import Producer, ProducerError
from extractors.stop import Stop
from tests.support.feeds import NOWHERE
from tests.support.journals import line
from tests.support.kafka import Topic, items_of
from tests.support.small_kafka import (
    PARTITIONS,
    SYMBOLS,
    by_partition,
    create,
    numbers_by_partition,
    small_kafka,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.independent

JOURNAL = "3f9c1a2b00c4d5e6"
TOPICS = (BINANCE_RAW_DATA, INSTRUMENTS, FEED_EVENTS)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(*TOPICS) as settings:
        yield settings


def new_producer(servers: str, stop: Stop | None = None) -> Producer:
    return Producer("binance", servers, JOURNAL, stop or Stop(10.0), Metrics("binance"))


def ready_producer(kafka: Settings, stop: Stop | None = None) -> Producer:
    producer = new_producer(kafka.kafka_bootstrap_servers, stop)
    assert producer.wait_for_topics()
    return producer


def batch_of(numbers: range) -> Batch:
    """The items at these positions, of 20 symbols in turn."""
    return Batch([line(n, SYMBOLS[n % len(SYMBOLS)], "stream.binance.com") for n in numbers])


def numbers_of(messages: list[Message]) -> list[int]:
    return [item["number"] for message in messages for item in items_of(message)]


def test_each_partition_has_its_symbols_items_once_in_the_order_of_the_journal(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    producer = ready_producer(kafka)
    for first in range(0, 300, 60):
        producer.produce(batch_of(range(first, first + 60)), {})
    assert producer.flush() == 0
    found = {partition: numbers_of(each) for partition, each in by_partition(topic).items()}
    assert found == numbers_by_partition(range(300))
    assert len(found) == PARTITIONS
    assert producer.delivered == 300


def test_a_message_names_its_endpoint_its_journal_and_the_position_after_its_last_item(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    producer = ready_producer(kafka)
    producer.produce(batch_of(range(60)), {})
    producer.flush()
    for partition, [message] in by_partition(topic).items():
        last = numbers_by_partition(range(60))[partition][-1]
        assert message.key() == f"binance-{partition}".encode()
        assert dict(message.headers() or []) == {
            "endpoint": b"stream.binance.com",
            "journal": JOURNAL.encode(),
            "position": str(last + 1).encode(),
        }


def large_line(position: int, size: int) -> Line:
    text = encode_item({"s": "A", "number": position, "x": "9" * size})
    return Line(position, "stream.binance.com", "A", position, text)


def test_more_than_a_message_holds_becomes_several_with_a_position_each(kafka: Settings) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    producer = ready_producer(kafka)
    producer.produce(Batch([large_line(n, MAX_MESSAGE_BYTES // 3) for n in range(5)]), {})
    assert producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert [numbers_of([message]) for message in messages] == [[0, 1], [2, 3], [4]]
    positions = [dict(message.headers() or [])["position"] for message in messages]
    assert positions == [b"2", b"4", b"5"]
    assert producer.delivered == 5


def test_what_a_former_process_brought_is_left_out_by_partition(kafka: Settings) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    producer = ready_producer(kafka)
    everything = numbers_by_partition(range(100))
    taken = {0: 100, 1: everything[1][3] + 1}
    producer.produce(batch_of(range(100)), taken)
    producer.flush()
    found = {partition: numbers_of(each) for partition, each in by_partition(topic).items()}
    assert found == {1: everything[1][4:], 2: everything[2], 3: everything[3]}


def test_a_batch_that_a_former_process_brought_is_delivered_without_a_message(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    producer = ready_producer(kafka)
    producer.produce(batch_of(range(100)), dict.fromkeys(range(PARTITIONS), 100))
    assert (producer.delivered, producer.oldest_pending) == (100, None)
    assert topic.messages() == []


def test_a_message_that_is_too_large_is_named_and_counted_and_its_neighbours_arrive(
    kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    metrics = Metrics("binance")
    servers = kafka.kafka_bootstrap_servers
    producer = Producer("binance", servers, JOURNAL, Stop(10.0), metrics)
    assert producer.wait_for_topics()
    lines = [large_line(0, 10), large_line(1, 1_100_000), large_line(2, 10)]
    producer.produce(Batch(lines), {})
    assert producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert numbers_of(messages) == [0, 2]
    partition = partition_of("A", PARTITIONS)
    assert f"delivery failed topic=binance_raw_data partition={partition}" in caplog.text
    assert f"key=b'binance-{partition}' bytes=11000" in caplog.text
    assert "delivery_errors=1" in metrics.totals()


def test_a_published_message_is_one_object_in_its_topic(kafka: Settings) -> None:
    topic = Topic(kafka, FEED_EVENTS)
    producer = ready_producer(kafka)
    for number in range(10):
        producer.publish(FEED_EVENTS, b"binance", {"number": number})
    assert producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert [json.loads(each.value() or b"") for each in messages] == [
        {"number": number} for number in range(10)
    ]
    assert {each.key() for each in messages} == {b"binance"}


class HeldBack:
    """In place of librdkafka's producer: confirms each message when the test says so, in any order."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[..., None]] = []
        self._due: list[Callable[..., None]] = []

    def list_topics(self, timeout: float) -> SimpleNamespace:
        topic = SimpleNamespace(partitions=[0])
        return SimpleNamespace(topics=dict.fromkeys(TOPICS, topic))

    def produce(self, *arguments: Any, headers: object) -> None:
        self._callbacks.append(arguments[4])

    def confirm(self, number: int) -> None:
        """The message that was produced as the `number`-th, from 0."""
        self._due.append(self._callbacks[number])

    def poll(self, timeout: float) -> None:
        while self._due:
            self._due.pop()(None, SimpleNamespace(latency=lambda: 0.01))

    def __len__(self) -> int:
        return 0


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> HeldBack:
    held = HeldBack()
    monkeypatch.setattr(confluent_kafka, "Producer", lambda configuration: held)
    return held


def test_a_batch_is_delivered_when_all_of_its_messages_are(held_back: HeldBack) -> None:
    producer = ready_producer(Settings())
    # Too large for one message.
    producer.produce(Batch([large_line(n, MAX_MESSAGE_BYTES - 1000) for n in (7, 8)]), {})
    assert (producer.delivered, producer.oldest_pending) == (0, 7)
    held_back.confirm(1)
    producer.poll()
    assert (producer.delivered, producer.oldest_pending) == (0, 7)
    held_back.confirm(0)
    producer.poll()
    assert (producer.delivered, producer.oldest_pending) == (9, None)


def test_a_batch_that_is_confirmed_waits_for_the_older_ones(held_back: HeldBack) -> None:
    producer = ready_producer(Settings())
    for first in (0, 10, 20):
        producer.produce(batch_of(range(first, first + 10)), {})
    for confirmed, delivered, oldest in ((1, 0, 0), (0, 20, 20), (2, 30, None)):
        held_back.confirm(confirmed)
        producer.poll()
        assert (producer.delivered, producer.oldest_pending) == (delivered, oldest)


def wait_for_delivery(producer: Producer, position: int) -> None:
    def delivered() -> int:
        producer.poll(0.05)
        return producer.delivered

    wait_for(delivered, lambda found: found == position)


def test_nothing_is_delivered_while_kafka_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stop = Stop(0.3)
    with small_kafka(*TOPICS) as kafka:
        producer = ready_producer(kafka, stop)
        producer.produce(batch_of(range(10)), {})
        wait_for_delivery(producer, 10)

    def log() -> str:
        producer.poll(0.05)
        return caplog.text

    producer.produce(batch_of(range(10, 20)), {})
    wait_for(log, lambda text: "kafka away" in text)
    assert (producer.delivered, producer.oldest_pending) == (10, 10)
    stop.request()
    assert producer.flush() > 0
    assert producer.delivered == 10


def test_much_that_is_pending_is_waited_for_until_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 0)
    monkeypatch.setattr(module, "ROOM_INTERVAL", 0.05)
    stop = Stop(0.2)
    with small_kafka(*TOPICS) as kafka:
        producer = ready_producer(kafka, stop)
        producer.produce(batch_of(range(10)), {})
        assert producer.delivered == 10
    stop.request()
    producer.produce(batch_of(range(10, 20)), {})
    assert stop.seconds_left() == 0
    assert producer.delivered == 10


def test_a_full_local_queue_is_an_error_of_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CONFIGURATION, "queue.buffering.max.messages", 1)
    producer = new_producer(NOWHERE)
    producer.publish(FEED_EVENTS, b"binance", {})
    with pytest.raises(ProducerError, match=f"^topic {FEED_EVENTS}: "):
        producer.publish(FEED_EVENTS, b"binance", {})


def test_topics_are_waited_for_and_the_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with small_kafka(BINANCE_RAW_DATA, INSTRUMENTS) as kafka:
        stop = Stop(10.0)
        producer = new_producer(kafka.kafka_bootstrap_servers, stop)
        waits: list[float] = []

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            create(kafka, FEED_EVENTS)
            return False

        monkeypatch.setattr(stop.requested, "wait", wait)
        assert producer.wait_for_topics()
    assert waits == [module.RETRY_INTERVAL]
    assert f"reason='topic {FEED_EVENTS} does not exist'" in caplog.text


def test_the_stop_ends_the_wait_for_a_kafka_that_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_INTERVAL", 0.1)
    stop = Stop(10.0)
    producer = new_producer(NOWHERE, stop)
    monkeypatch.setattr(stop.requested, "wait", lambda seconds: stop.request())
    assert not producer.wait_for_topics()
    assert f"waiting kafka={NOWHERE}" in caplog.text
