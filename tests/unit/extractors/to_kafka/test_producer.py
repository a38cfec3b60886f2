"""Test which messages Kafka gets of a batch, in which order, and when they count as delivered."""

from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from core.message import MAX_MESSAGE_BYTES, encode_item, partition_of
from core.settings import Settings
from exchanges.binance import BINANCE
from extractors.journal.reader import Line
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_kafka import producer as module
from extractors.to_kafka import topics as kafka_topics
from extractors.to_kafka.batcher import Batch
from extractors.to_kafka.delivered import Delivered, PartitionProgress
from extractors.to_kafka.producer import Producer, ProducerError, TooLargeError
from tests.support.exchange_clients import NOWHERE
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

pytestmark = [pytest.mark.independent, pytest.mark.long]

JOURNAL = "3f9c1a2b00c4d5e6"


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(BINANCE.raw_topic) as settings:
        yield settings


class Producing:
    """Producer with the state that it shares with its follower."""

    def __init__(
        self, settings: Settings, stop: Shutdown | None = None, limit: int = MAX_MESSAGE_BYTES
    ) -> None:
        self.delivered = Delivered(
            JOURNAL, partitions={n: PartitionProgress(0, 0) for n in range(PARTITIONS)}
        )
        self.delivered.set_partitions(PARTITIONS, 0)
        self.refused: set[int] = set()
        self.metrics = Metrics("binance")
        self.producer = Producer(
            "binance",
            settings,
            JOURNAL,
            self.delivered,
            self.refused,
            limit,
            stop or Shutdown(10.0),
            self.metrics,
        )

    def send(self, batch: Batch, taken: dict[int, int] | None = None) -> None:
        self.producer.send(batch, taken or {})

    def wait_for(self, position: int) -> None:
        """Process delivery reports until every item before the position is delivered."""

        def delivered() -> int:
            self.producer.poll(0.05)
            return self.delivered.position

        wait_for(delivered, lambda found: found == position)


def batch_of(numbers: range) -> Batch:
    """Return a batch of items at these positions, of 20 symbols in turn."""
    return Batch([line(n, SYMBOLS[n % len(SYMBOLS)], "stream.binance.com") for n in numbers])


def numbers_of(messages: list[Message]) -> list[int]:
    return [item["number"] for message in messages for item in items_of(message)]


def test_each_partition_has_its_symbols_items_once_in_the_order_of_the_journal(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    for first in range(0, 300, 60):
        producing.send(batch_of(range(first, first + 60)))
    assert producing.producer.flush() == 0
    found = {partition: numbers_of(each) for partition, each in by_partition(topic).items()}
    assert found == numbers_by_partition(range(300))
    assert len(found) == PARTITIONS
    assert producing.delivered.position == 300


def test_a_message_names_its_endpoint_its_journal_and_the_position_after_its_last_item(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    producing.send(batch_of(range(60)))
    producing.producer.flush()
    for partition, [message] in by_partition(topic).items():
        last = numbers_by_partition(range(60))[partition][-1]
        assert message.key() == f"binance-{partition}".encode()
        assert dict(message.headers() or []) == {
            "endpoint": b"stream.binance.com",
            "journal": JOURNAL.encode(),
            "position": str(last + 1).encode(),
        }


def test_the_record_has_the_place_of_each_partitions_last_message(kafka: Settings) -> None:
    producing = Producing(kafka)
    for first in (0, 60):
        producing.send(batch_of(range(first, first + 60)))
    producing.producer.flush()
    ends = {partition: each[-1] + 1 for partition, each in numbers_by_partition(range(120)).items()}
    assert producing.delivered.partitions == {
        n: PartitionProgress(2, end) for n, end in ends.items()
    }


APART = sorted({partition_of(each, PARTITIONS): each for each in ("A", *SYMBOLS)}.values())
"""One symbol of each partition."""


def large_line(position: int, size: int) -> Line:
    """Return a large line. Lines ten positions apart are in different partitions."""
    symbol = APART[position // 10 % PARTITIONS]
    text = encode_item({"s": symbol, "number": position, "x": "9" * size, "received_at": position})
    return Line(position, "stream.binance.com", symbol, text)


def test_more_than_a_message_holds_becomes_several_with_a_position_each(kafka: Settings) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    producing.send(Batch([large_line(n, MAX_MESSAGE_BYTES // 3) for n in range(5)]))
    assert producing.producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert [numbers_of([message]) for message in messages] == [[0, 1], [2, 3], [4]]
    positions = [dict(message.headers() or [])["position"] for message in messages]
    assert positions == [b"2", b"4", b"5"]
    assert producing.delivered.position == 5


def test_a_message_has_no_more_bytes_than_its_limit(kafka: Settings) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka, limit=50_000)
    producing.send(Batch([large_line(n, 20_000) for n in range(5)]))
    assert producing.producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert [numbers_of([message]) for message in messages] == [[0, 1], [2, 3], [4]]


def test_what_a_former_process_brought_is_left_out_by_partition(kafka: Settings) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    everything = numbers_by_partition(range(100))
    producing.send(batch_of(range(100)), {0: 100, 1: everything[1][3] + 1})
    producing.producer.flush()
    found = {partition: numbers_of(each) for partition, each in by_partition(topic).items()}
    assert found == {1: everything[1][4:], 2: everything[2], 3: everything[3]}


def test_a_batch_that_a_former_process_brought_is_delivered_without_a_message(
    kafka: Settings,
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    producing.send(batch_of(range(100)), dict.fromkeys(range(PARTITIONS), 100))
    assert (producing.delivered.position, producing.producer.oldest_pending) == (100, None)
    assert topic.messages() == []


def test_an_item_too_large_for_a_message_is_named_and_counted_and_its_neighbours_arrive(
    kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    producing = Producing(kafka)
    producing.send(Batch([large_line(0, 10), large_line(1, 1_100_000), large_line(2, 10)]))
    assert producing.producer.flush() == 0
    [messages] = by_partition(topic).values()
    assert numbers_of(messages) == [0, 2]
    partition = partition_of(APART[0], PARTITIONS)
    named = f"message refused topic=binance_raw_data partition={partition} items=1 first=1 bytes="
    assert named in caplog.text
    assert "delivery_errors=1" in producing.metrics.totals()
    assert producing.refused == {1}
    assert producing.delivered.position == 3


class HeldBack:
    """Replacement for librdkafka's producer. The test decides when it reports each message."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[..., None]] = []
        self._due: list[tuple[Callable[..., None], KafkaError | None]] = []
        self.fatal: KafkaError | None = None

    @property
    def produced(self) -> int:
        return len(self._callbacks)

    def produce(self, *arguments: Any, headers: object) -> None:
        self._callbacks.append(arguments[4])

    def report(self, number: int, error: KafkaError | None = None) -> None:
        """Report the delivery of the `number`-th message, from 0."""
        self._due.append((self._callbacks[number], error))

    def poll(self, timeout: float) -> None:
        if fatal := self.fatal:
            self.fatal = None
            raise KafkaException(fatal)
        while self._due:
            callback, error = self._due.pop(0)
            callback(error, Report())

    def __len__(self) -> int:
        return 0


class Report:
    """Replacement for the message of a delivery report."""

    def latency(self) -> float:
        return 0.01

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def __len__(self) -> int:
        return 100


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> HeldBack:
    held = HeldBack()
    monkeypatch.setattr(confluent_kafka, "Producer", lambda configuration: held)
    return held


def test_a_batch_is_delivered_when_all_of_its_messages_are(held_back: HeldBack) -> None:
    producing = Producing(Settings())
    producing.send(Batch([large_line(n, 10) for n in (7, 17)]))
    assert (producing.delivered.position, producing.producer.oldest_pending) == (0, 7)
    held_back.report(1)
    producing.producer.poll()
    assert (producing.delivered.position, producing.producer.oldest_pending) == (0, 7)
    held_back.report(0)
    producing.producer.poll()
    assert (producing.delivered.position, producing.producer.oldest_pending) == (18, None)


def test_a_batch_that_is_confirmed_waits_for_the_older_ones(held_back: HeldBack) -> None:
    producing = Producing(Settings())
    for number in (0, 10, 20):
        producing.send(Batch([large_line(number, 10)]))
    for confirmed, delivered, oldest in ((1, 0, 0), (0, 11, 20), (2, 21, None)):
        held_back.report(confirmed)
        producing.producer.poll()
        state = (producing.delivered.position, producing.producer.oldest_pending)
        assert state == (delivered, oldest)


NOT_ABOUT_THE_RECORD = [
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._FATAL,  # noqa: SLF001 - public despite its underscore
    KafkaError._PURGE_QUEUE,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
    KafkaError._INVALID_DIFFERENT_RECORD,  # noqa: SLF001
]


@pytest.mark.parametrize("code", NOT_ABOUT_THE_RECORD)
def test_an_error_that_is_not_about_the_record_leaves_it_undelivered_and_ends_the_producer(
    held_back: HeldBack, code: int
) -> None:
    producing = Producing(Settings())
    for number in (0, 10, 20):
        producing.send(Batch([large_line(number, 10)]))
    held_back.report(0)
    held_back.report(1, KafkaError(code))
    held_back.report(2)
    with pytest.raises(ProducerError, match=f"^topic {BINANCE.raw_topic}: "):
        producing.producer.poll()
    assert (producing.delivered.position, producing.refused) == (1, set())
    assert "delivery_errors=0" in producing.metrics.totals()


def test_a_fatal_error_is_named_by_the_message_that_caused_it(held_back: HeldBack) -> None:
    """The client raises the error first, and reports the message at the next call."""
    producing = Producing(Settings())
    producing.send(Batch([large_line(0, 10)]))
    held_back.fatal = KafkaError(KafkaError._GAPLESS_GUARANTEE, fatal=True)  # noqa: SLF001
    held_back.report(0, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(
        ProducerError, match=f"needs Write and Describe on topic {BINANCE.raw_topic}"
    ):
        producing.producer.poll()


def test_a_fatal_error_without_a_message_is_named_by_itself(
    held_back: HeldBack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORTS_LIMIT", 0.05)
    producing = Producing(Settings())
    held_back.fatal = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, fatal=True)
    with pytest.raises(ProducerError, match="needs IdempotentWrite on the cluster"):
        producing.producer.poll()


def test_the_first_error_is_the_one_that_is_named(held_back: HeldBack) -> None:
    producing = Producing(Settings(kafka_bootstrap_servers="kafka.example:9092"))
    for number in (0, 10):
        producing.send(Batch([large_line(number, 10)]))
    held_back.report(0, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    held_back.report(1, KafkaError(KafkaError._PURGE_QUEUE))  # noqa: SLF001
    with pytest.raises(
        ProducerError, match=f"needs Write and Describe on topic {BINANCE.raw_topic}"
    ):
        producing.producer.poll()


def test_a_record_that_is_invalid_by_itself_is_named_counted_and_not_sent_again(
    held_back: HeldBack, caplog: pytest.LogCaptureFixture
) -> None:
    producing = Producing(Settings())
    for number in (0, 10):
        producing.send(Batch([large_line(number, 10)]))
    held_back.report(0, KafkaError(KafkaError.INVALID_RECORD))
    with pytest.raises(ProducerError):
        producing.producer.poll()
    assert producing.refused == {0}
    assert "delivery_errors=1" in producing.metrics.totals()
    assert "message refused topic=binance_raw_data partition=0 items=1 first=0" in caplog.text


def test_a_topic_with_a_smaller_message_limit_is_distinguished_from_other_failures(
    held_back: HeldBack,
) -> None:
    producing = Producing(Settings())
    producing.send(Batch([large_line(0, 10), large_line(1, 10)]))
    held_back.report(0, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    with pytest.raises(TooLargeError):
        producing.producer.poll()
    assert producing.refused == set()


@pytest.mark.parametrize("limit", [100, 1000])
def test_an_item_that_is_too_large_for_the_topic_by_itself_is_named_and_counted(
    held_back: HeldBack, limit: int
) -> None:
    """The topic may accept less than the producer's limit."""
    producing = Producing(Settings(), limit=limit)
    producing.send(Batch([large_line(0, 50), large_line(10, 200), large_line(20, 50)]))
    held_back.report(1, KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    with pytest.raises(ProducerError) as failure:
        producing.producer.poll()
    assert not isinstance(failure.value, TooLargeError)
    assert producing.refused == {10}
    assert "delivery_errors=1" in producing.metrics.totals()


def test_nothing_is_delivered_while_kafka_is_unavailable(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stop = Shutdown(0.3)
    with small_kafka(BINANCE.raw_topic) as kafka:
        producing = Producing(kafka, stop)
        producing.send(batch_of(range(10)))
        producing.wait_for(10)

    def log() -> str:
        producing.producer.poll(0.05)
        return caplog.text

    producing.send(batch_of(range(10, 20)))
    wait_for(log, lambda text: "kafka unavailable" in text)
    assert (producing.delivered.position, producing.producer.oldest_pending) == (10, 10)
    stop.request()
    assert producing.producer.flush() > 0
    assert producing.delivered.position == 10


def test_a_partitions_next_message_waits_for_the_one_before_until_the_stop(
    held_back: HeldBack,
) -> None:
    """After the deadline the rest is neither sent nor delivered, even if more is confirmed."""
    stop = Shutdown(0.2)
    producing = Producing(Settings(), stop)
    producing.send(Batch([large_line(0, 10)]))
    stop.request()
    producing.send(Batch([large_line(1, 10)]))
    assert stop.seconds_left() == 0
    held_back.report(0)
    producing.producer.poll()
    producing.send(Batch([large_line(2, 10)]))
    assert held_back.produced == 1
    assert producing.delivered.position == 1


def test_a_full_local_queue_is_an_error_of_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.CONFIGURATION, "queue.buffering.max.messages", 1)
    producing = Producing(Settings(kafka_bootstrap_servers=NOWHERE))
    with pytest.raises(ProducerError, match=f"^topic {BINANCE.raw_topic}: "):
        producing.send(batch_of(range(10)))


def test_a_topic_is_waited_for_by_its_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # It is also the timeout of each request.
    monkeypatch.setattr(kafka_topics, "RETRY_INTERVAL", 60.0)
    with small_kafka() as kafka:
        stop = Shutdown(10.0)
        producing = Producing(kafka, stop)
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            create(kafka, BINANCE.raw_topic)

        monkeypatch.setattr(stop, "pause", pause)
        assert producing.producer.wait_for_topic() == PARTITIONS
    assert pauses == [60.0]
    assert f"reason='topic {BINANCE.raw_topic} does not exist" in caplog.text


def test_the_stops_time_ends_the_wait_for_a_kafka_that_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_topics, "RETRY_INTERVAL", 0.1)
    stop = Shutdown(0.5)
    producing = Producing(Settings(kafka_bootstrap_servers=NOWHERE), stop)
    stop.request()
    assert producing.producer.wait_for_topic() is None
    assert stop.seconds_left() == 0
    assert f"waiting kafka={NOWHERE}" in caplog.text


def test_a_client_that_fails_for_good_before_the_topic_is_found_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))

    monkeypatch.setattr(module, "wait_for_topics", fails)
    producing = Producing(Settings(kafka_bootstrap_servers=NOWHERE))
    with pytest.raises(ProducerError, match="user ANONYMOUS needs IdempotentWrite on the cluster"):
        producing.producer.wait_for_topic()
