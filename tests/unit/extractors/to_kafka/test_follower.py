"""Test delivery of a journal: in order, resuming after what Kafka has after failures and restarts."""

import errno
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from core.settings import Settings
from exchanges.binance import BINANCE
from extractors.journal.journal import Journal
from extractors.journal.reader import JournalReader
from extractors.journal.replace_file import replace_file
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_kafka import delivered as delivered_module
from extractors.to_kafka import follower as module
from extractors.to_kafka import producer as producer_module
from extractors.to_kafka.batcher import Batch
from extractors.to_kafka.delivered import Delivered
from extractors.to_kafka.follower import KafkaFollower
from extractors.to_kafka.producer import Producer, ProducerError, TooLargeError
from extractors.to_kafka.resume import catch_up
from extractors.to_kafka.topic_reader import TopicError
from tests.support.exchange_clients import NOWHERE, binance_client
from tests.support.journals import RECEIVED_AT, item, journal_in, left_behind
from tests.support.kafka import Topic, items_of
from tests.support.small_kafka import (
    PARTITIONS,
    SYMBOLS,
    by_partition,
    create,
    numbers_by_partition,
    send,
    small_kafka,
)
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.to_kafka.follower.RETRY_INTERVAL", 0.05)
    monkeypatch.setattr("extractors.to_kafka.follower.SAVE_INTERVAL", 0.05)
    monkeypatch.setattr("extractors.to_kafka.topics.RETRY_INTERVAL", 0.2)
    monkeypatch.setattr("extractors.to_kafka.resume.QUIET_SECONDS", 0.05)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(BINANCE.raw_topic) as settings:
        yield settings


class Following:
    """Follower of a journal, with real producers."""

    def __init__(
        self,
        journal: Journal,
        kafka: Settings,
        limit: float = 10.0,
        batch_seconds: float = 0.0,
    ) -> None:
        self.stop = Shutdown(limit)
        self.metrics = Metrics("binance")
        client = binance_client(batch_seconds=batch_seconds)
        self.thread = KafkaFollower(client, journal, kafka, self.stop, self.metrics)
        self.thread.start()

    def wait_for_end(self) -> None:
        wait_for(self.thread.is_alive, lambda is_alive: not is_alive)


def write(journal: Journal, numbers: range) -> None:
    items = [item(number, SYMBOLS[number % len(SYMBOLS)]) for number in numbers]
    assert not journal.append("stream.binance.com", items, RECEIVED_AT, 0.0)


def wait_for_delivery(journal: Journal, position: int) -> None:
    wait_for(lambda: journal.delivered, lambda delivered: delivered == position)


def deliver(kafka: Settings, folder: Path, count: int) -> None:
    """Run a process that delivers the first items of a new journal, and then ends."""
    with journal_in(folder) as journal:
        following = Following(journal, kafka)
        write(journal, range(count))
        wait_for_delivery(journal, count)
        journal.close()
        following.wait_for_end()


def recorded_counts(folder: Path) -> list[int]:
    """Return the numbers of partitions in the record, oldest first."""
    return [count for _, count in json.loads((folder / "delivered").read_text())["counts"]]


def numbers_in(topic: Topic) -> dict[int, list[int]]:
    return {
        partition: [each["number"] for message in messages for each in items_of(message)]
        for partition, messages in by_partition(topic).items()
    }


def test_everything_of_a_journal_is_in_kafka_in_order_when_the_journal_is_closed(
    kafka: Settings, tmp_path: Path
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        for first in range(0, 1000, 50):
            write(journal, range(first, first + 50))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(1000))
    assert journal.delivered == 1000
    assert not following.stop.requested.is_set()


def test_a_feed_of_arrays_is_sent_at_once(kafka: Settings, tmp_path: Path) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        for first in (0, 20):
            write(journal, range(first, first + 20))
            wait_for_delivery(journal, first + 20)
        journal.close()
        following.wait_for_end()
    # Each array becomes one message per partition of its symbols.
    assert [len(each) for each in by_partition(topic).values()] == [2] * PARTITIONS


def test_a_batch_is_sent_when_it_is_old_enough_though_nothing_follows(
    kafka: Settings, tmp_path: Path
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(0, 40, 20))
        write(journal, range(40, 60, 20))
        following = Following(journal, kafka, batch_seconds=0.2)
        wait_for_delivery(journal, 3)
        journal.close()
        following.wait_for_end()
    [[message]] = by_partition(topic).values()
    assert [each["number"] for each in items_of(message)] == [0, 20, 40]


def test_a_new_process_resumes_after_what_kafka_has_of_the_journal(
    kafka: Settings, tmp_path: Path
) -> None:
    """The record that the previous process left is older than what Kafka has."""
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        wait_for_delivery(journal, 100)
        write(journal, range(100, 250))
        left = left_behind(tmp_path / "j")
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(250))
    with journal_in(left) as journal:
        assert journal.had_items
        following = Following(journal, kafka)
        write(journal, range(250, 300))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(300))


def test_without_its_record_a_new_process_learns_from_the_last_messages(
    kafka: Settings, tmp_path: Path
) -> None:
    """Version 0.1.0 kept no record."""
    topic = Topic(kafka, BINANCE.raw_topic)
    deliver(kafka, tmp_path / "j", 100)
    (tmp_path / "j" / "delivered").unlink()
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100, 150))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(150))


def test_messages_of_others_after_ours_change_nothing(kafka: Settings, tmp_path: Path) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    deliver(kafka, tmp_path / "j", 100)
    for partition in range(PARTITIONS):
        send(kafka, BINANCE.raw_topic, partition)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100, 150))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(150))


def test_a_new_process_reads_nothing_again_that_kafka_had_confirmed(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments not uploaded yet stay in the journal; reading them again would delay new items."""
    deliver(kafka, tmp_path / "j", 1000)
    starts: list[int] = []

    class Reader(JournalReader):
        def __init__(self, journal: Journal, position: int, symbol_of: Any) -> None:
            starts.append(position)
            super().__init__(journal, position, symbol_of)

    monkeypatch.setattr(module, "JournalReader", Reader)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        journal.close()
        following.wait_for_end()
    assert starts == [1000]


def test_items_keep_the_partitions_of_the_time_when_they_were_first_sent(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process knew two partitions. Items that it left keep theirs and are not sent twice."""
    topic = Topic(kafka, BINANCE.raw_topic)
    with monkeypatch.context() as patch, journal_in(tmp_path / "j") as journal:
        patch.setattr(Producer, "wait_for_topic", lambda producer: 2)
        following = Following(journal, kafka)
        write(journal, range(100))
        wait_for_delivery(journal, 100)
        write(journal, range(100, 200))
        left = left_behind(tmp_path / "j")
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic).keys() == {0, 1}
    for _ in range(2):
        with journal_in(left) as journal:
            following = Following(journal, kafka)
            journal.close()
            following.wait_for_end()
            assert sum(map(len, numbers_in(topic).values())) == 200
            assert numbers_in(topic).keys() == {0, 1}
    with journal_in(left) as journal:
        following = Following(journal, kafka)
        write(journal, range(200, 300))
        journal.close()
        following.wait_for_end()
    found = numbers_in(topic)
    assert sorted(number for each in found.values() for number in each) == list(range(300))
    new = {partition: [n for n in each if n >= 200] for partition, each in found.items()}
    assert new == numbers_by_partition(range(200, 300))


def test_nothing_is_sent_before_kafka_has_said_what_it_has(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))
    asked: list[int] = []

    def ask(name: str, settings: Settings, delivered: Delivered) -> None:
        asked.append(sum(map(len, numbers_in(topic).values())))
        if len(asked) < 3:
            raise TopicError("no leader")
        catch_up(name, settings, delivered)

    monkeypatch.setattr(module, "catch_up", ask)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        journal.close()
        following.wait_for_end()
    assert asked == [0, 0, 0]
    assert caplog.text.count("producer failed retry_in=0.05 reason='no leader'") == 2
    assert numbers_in(topic) == numbers_by_partition(range(100))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Yield an event; while it is set, the record of deliveries can't be written."""
    is_full = Event()

    def write_record(path: Path, text: str, *, durably: bool = False) -> None:
        if is_full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, text, durably=durably)

    monkeypatch.setattr(delivered_module, "replace_file", write_record)
    yield is_full


def test_a_disk_that_is_full_when_kafka_is_first_reached_holds_nothing_up(
    kafka: Settings, tmp_path: Path, full_disk: Event, caplog: pytest.LogCaptureFixture
) -> None:
    full_disk.set()
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))
        following = Following(journal, kafka)
        wait_for_delivery(journal, 100)
        assert not (tmp_path / "j" / "delivered").exists()
        full_disk.clear()
        wait_for((tmp_path / "j" / "delivered").exists)
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(100))
    record = json.loads((tmp_path / "j" / "delivered").read_text())
    assert (record["position"], record["counts"]) == (100, [[0, PARTITIONS]])
    assert caplog.text.count("partitions not recorded") == 1
    assert "producer failed" not in caplog.text


def test_added_partitions_are_not_used_while_a_full_disk_keeps_them_from_being_recorded(
    kafka: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full_disk: Event,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Otherwise, after a crash, items would be looked for in partitions that they were not sent to."""
    topic = Topic(kafka, BINANCE.raw_topic)
    with monkeypatch.context() as patch, journal_in(tmp_path / "j") as journal:
        patch.setattr(Producer, "wait_for_topic", lambda producer: 2)
        following = Following(journal, kafka)
        write(journal, range(100))
        wait_for_delivery(journal, 100)
        journal.close()
        following.wait_for_end()
    full_disk.set()
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        wait_for(lambda: "partitions not recorded" in caplog.text)
        write(journal, range(100, 200))
        wait_for_delivery(journal, journal.end)
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic).keys() == {0, 1}
    assert sorted(chain.from_iterable(numbers_in(topic).values())) == list(range(200))
    full_disk.clear()
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        wait_for(lambda: recorded_counts(tmp_path / "j"), lambda counts: counts == [2, PARTITIONS])
        write(journal, range(200, 300))
        wait_for_delivery(journal, journal.end)
        journal.close()
        following.wait_for_end()
    new = {n: [each for each in found if each >= 200] for n, found in numbers_in(topic).items()}
    assert new == numbers_by_partition(range(200, 300))


def test_a_stop_before_kafka_has_said_what_it_has_sends_nothing(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    with journal_in(tmp_path / "j") as journal:
        write(journal, range(100))

    def catch_up(*_: object) -> None:
        raise TopicError("no leader")

    monkeypatch.setattr(module, "catch_up", catch_up)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka, limit=0.5)
        following.stop.request()
        journal.close()
        following.wait_for_end()
        assert journal.items_from(0) == 100
    assert topic.messages() == []
    assert journal.delivered == 0


def test_a_stop_before_the_topic_was_known_still_sends_what_the_time_allows(
    tmp_path: Path,
) -> None:
    with small_kafka() as kafka, journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        following.stop.request()
        create(kafka, BINANCE.raw_topic)
        journal.close()
        following.wait_for_end()
        assert journal.delivered == 100


def test_a_new_journal_is_not_looked_for_in_kafka(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def catch_up(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(module, "catch_up", catch_up)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(10))
        journal.close()
        following.wait_for_end()
    assert journal.delivered == 10


def test_without_kafka_the_stop_ends_it_and_the_journal_keeps_everything(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        with small_kafka(BINANCE.raw_topic) as kafka:
            following = Following(journal, kafka, limit=0.5)
            write(journal, range(10))
            wait_for_delivery(journal, 10)
        write(journal, range(10, 20))
        following.stop.request()
        following.wait_for_end()
        assert journal.delivered == 10
        assert journal.items_from(0) == 20


def test_without_kafka_from_the_start_the_lag_is_that_of_the_oldest_item(tmp_path: Path) -> None:
    unavailable = Settings(kafka_bootstrap_servers=NOWHERE)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, unavailable, limit=0.1)
        assert following.thread.oldest_undelivered() is None
        write(journal, range(10))
        assert journal.items_from(journal.delivered) == 10
        assert following.thread.oldest_undelivered() == RECEIVED_AT
        following.stop.request()
        following.wait_for_end()


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (ProducerError("fenced"), "producer failed"),
        (TooLargeError("1,000 bytes"), "message limit halved bytes=500000"),
    ],
)
def test_after_a_producer_that_failed_the_next_one_goes_on_with_each_item_once(
    kafka: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: ProducerError,
    named: str,
) -> None:
    topic = Topic(kafka, BINANCE.raw_topic)
    sent: list[Batch] = []
    send_batch = Producer.send

    def send_and_fail(producer: Producer, batch: Batch, taken: Mapping[int, int]) -> None:
        """Send a batch, and fail while the first one is in flight."""
        send_batch(producer, batch, taken)
        sent.append(batch)
        if len(sent) == 1:
            raise error

    monkeypatch.setattr(Producer, "send", send_and_fail)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        for first in range(0, 1000, 50):
            write(journal, range(first, first + 50))
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(1000))
    assert caplog.text.count(named) == 1
    assert not following.stop.requested.is_set()


def test_a_topic_that_takes_only_smaller_messages_gets_smaller_ones(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    fails = [TooLargeError("topic: too large")] * 2

    class Strict(Producer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            limits.append(arguments[5])

        def poll(self, timeout: float = 0.0) -> None:
            super().poll(timeout)
            if fails:
                raise fails.pop()

    monkeypatch.setattr(module, "Producer", Strict)
    deliver(kafka, tmp_path / "j", 10)
    assert limits == [1_000_000, 500_000, 250_000]


def test_a_local_queue_that_is_full_costs_nothing(
    kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first partition's message fits; the next one's does not until the queue is larger."""
    topic = Topic(kafka, BINANCE.raw_topic)
    monkeypatch.setitem(producer_module.CONFIGURATION, "queue.buffering.max.messages", 1)
    monkeypatch.setitem(producer_module.CONFIGURATION, "linger.ms", 1000)
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        failures = following.metrics.producer_failures
        wait_for(lambda: failures._value.get() > 0)  # noqa: SLF001
        monkeypatch.setitem(producer_module.CONFIGURATION, "queue.buffering.max.messages", 1000)
        journal.close()
        following.wait_for_end()
    assert numbers_in(topic) == numbers_by_partition(range(100))


def test_the_record_says_what_kafka_has(kafka: Settings, tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        following = Following(journal, kafka)
        write(journal, range(100))
        wait_for_delivery(journal, 100)
        journal.close()
        following.wait_for_end()
        record = json.loads((tmp_path / "j" / "delivered").read_text())
        everything = numbers_by_partition(range(100))
        assert record == {
            "journal": journal.id,
            "position": 100,
            "places": {str(each): [1, everything[each][-1] + 1] for each in sorted(everything)},
            "counts": [[0, PARTITIONS]],
        }
