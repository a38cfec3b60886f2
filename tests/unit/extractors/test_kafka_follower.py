"""From a journal to Kafka: in order, and after a restart behind what Kafka already has."""

import gc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, FEED_EVENTS, INSTRUMENTS
from extractors import producer as producer_module
from extractors.journal import Journal
from extractors.kafka_follower import KafkaFollower
from extractors.metrics import Metrics
from extractors.producer import Producer
from extractors.stop import Stop
from extractors.taken import TopicError, taken_positions
from tests.support.journals import RECEIVED_AT, item, journal_in, left_behind, symbol_of
from tests.support.kafka import Topic, items_of
from tests.support.small_kafka import (
    SYMBOLS,
    by_partition,
    numbers_by_partition,
    small_kafka,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.independent

Taken = Callable[[], dict[int, int]]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.kafka_follower.RETRY_INTERVAL", 0.05)
    monkeypatch.setattr("extractors.batcher.AGE_LIMIT", 0.1)
    monkeypatch.setattr("extractors.taken.STILL_FOR", 0.05)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(BINANCE_RAW_DATA, INSTRUMENTS, FEED_EVENTS) as settings:
        yield settings


class Following:
    """A follower of a journal, with a real producer."""

    def __init__(
        self, journal: Journal, kafka: Settings, taken: Taken | None = None, limit: float = 10.0
    ) -> None:
        servers = kafka.kafka_bootstrap_servers
        self.stop = Stop(limit)
        self.producer = Producer("binance", servers, journal.id, self.stop, Metrics("binance"))
        taken = taken or partial(taken_positions, "binance", journal.id, servers)
        self.thread = KafkaFollower(journal, self.producer, taken, symbol_of, self.stop)
        self.thread.start()

    def wait_for_end(self) -> None:
        wait_for(self.thread.is_alive, lambda is_alive: not is_alive)


def write(journal: Journal, numbers: range) -> None:
    items = [item(number, SYMBOLS[number % len(SYMBOLS)]) for number in numbers]
    assert not journal.append("stream.binance.com", items, RECEIVED_AT, 0.0)


def numbers_in(topic: Topic) -> dict[int, list[int]]:
    return {
        partition: [each["number"] for message in messages for each in items_of(message)]
        for partition, messages in by_partition(topic).items()
    }


def test_everything_of_a_journal_is_in_kafka_in_order_when_the_journal_is_closed(
    kafka: Settings, tmp_path: Path
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        for first in range(0, 1000, 50):
            write(journal, range(first, first + 50))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(1000))
    assert following.thread.error is None
    assert following.producer.delivered == 1000
    assert not following.stop.requested.is_set()


def test_a_batch_is_sent_when_it_is_old_enough_though_nothing_follows(
    kafka: Settings, tmp_path: Path
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(3))
        wait_for(lambda: following.producer.delivered, lambda delivered: delivered == 3)
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(3))


def test_a_new_process_goes_on_behind_what_kafka_has_of_the_journal(
    kafka: Settings, tmp_path: Path
) -> None:
    """The former one was killed after it had sent a part."""
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        wait_for(lambda: following.producer.delivered, lambda delivered: delivered == 100)
        write(journal, range(100, 250))
        left = left_behind(tmp_path / "j")
        journal.close()
        following.stop.request()
        following.wait_for_end()
    before = numbers_in(topic)
    with journal_in(left) as journal:
        assert journal.was_left
        following = Following(journal, kafka)
        write(journal, range(250, 300))
        journal.close()
        following.wait_for_end()
    after = numbers_in(topic)
    assert after == numbers_by_partition(range(300))
    assert all(after[each][: len(before[each])] == before[each] for each in before)


def test_each_partition_goes_on_where_it_was(kafka: Settings, tmp_path: Path) -> None:
    """Kafka took the last messages of some partitions and not of others."""
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))
    everything = numbers_by_partition(range(100))
    with journal_in(tmp_path / "j") as journal:
        journal.close()
        taken = {0: everything[0][-1] + 1, 2: everything[2][4] + 1}
        Following(journal, kafka, lambda: taken).wait_for_end()
    assert numbers_in(topic) == {1: everything[1], 2: everything[2][5:], 3: everything[3]}


def test_nothing_is_sent_before_kafka_has_said_what_it_has(
    kafka: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))
    asked: list[int] = []

    def taken() -> dict[int, int]:
        asked.append(sum(map(len, numbers_in(topic).values())))
        if len(asked) < 3:
            raise TopicError("no leader")
        return {}

    with journal_in(tmp_path / "j") as journal:
        journal.close()
        Following(journal, kafka, taken).wait_for_end()
    assert asked == [0, 0, 0]
    assert caplog.text.count("waiting reason='no leader'") == 2
    assert numbers_in(topic) == numbers_by_partition(range(100))


def test_a_stop_before_kafka_has_said_what_it_has_sends_nothing_again(
    kafka: Settings, tmp_path: Path
) -> None:
    topic = Topic(kafka, BINANCE_RAW_DATA)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))
    with journal_in(tmp_path / "j") as journal:
        stop: list[Stop] = []

        def taken() -> dict[int, int]:
            wait_for(lambda: stop)
            stop[0].request()
            raise TopicError("no leader")

        following = Following(journal, kafka, taken)
        stop.append(following.stop)
        journal.close()
        following.wait_for_end()
        assert journal.items_from(0) == 100
    assert topic.messages() == []
    assert following.producer.delivered == 0


def test_a_new_journal_is_not_asked_for_at_kafka(kafka: Settings, tmp_path: Path) -> None:
    def taken() -> dict[int, int]:
        raise AssertionError("asked")

    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka, taken)
        write(journal, range(10))
        journal.close()
        following.wait_for_end()
    assert following.producer.delivered == 10


def test_without_kafka_the_stop_ends_it_and_the_journal_keeps_everything(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        with small_kafka(BINANCE_RAW_DATA, INSTRUMENTS, FEED_EVENTS) as kafka:
            following = Following(journal, kafka, limit=0.5)
            write(journal, range(10))
            wait_for(lambda: following.producer.delivered, lambda delivered: delivered == 10)
        write(journal, range(10, 20))
        following.stop.request()
        following.wait_for_end()
        assert following.producer.delivered == 10
        assert journal.items_from(0) == 20


@pytest.mark.filterwarnings("ignore:unclosed file .*jsonl.*:ResourceWarning")
def test_a_producer_that_can_not_go_on_ends_it_with_the_error_and_the_process_with_it(
    kafka: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A local queue that is full: the first symbol's message fits, the second one's does not."""
    monkeypatch.setitem(producer_module.CONFIGURATION, "queue.buffering.max.messages", 1)
    monkeypatch.setitem(producer_module.CONFIGURATION, "linger.ms", 1000)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        following.wait_for_end()
        assert journal.items_from(0) == 100
    assert f"topic {BINANCE_RAW_DATA}: " in str(following.thread.error)
    assert "producer failed reason=" in caplog.text
    assert following.stop.requested.is_set()
    # The process ends now; in this one the reader's open file goes with the error.
    del following
    gc.collect()
