"""Test finding what Kafka has of a journal, from where the next producer resumes."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, Message

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from extractors.to_kafka.delivered import Delivered, PartitionProgress
from extractors.to_kafka.resume import begin, catch_up
from extractors.to_kafka.topic_reader import TopicError, messages_to_the_end
from tests.support.exchange_clients import NOWHERE
from tests.support.small_kafka import PARTITIONS, send, small_kafka

pytestmark = [pytest.mark.independent, pytest.mark.long]

OURS = "3f9c1a2b00c4d5e6"
ANOTHER = "00000000000000aa"


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.to_kafka.resume.QUIET_SECONDS", 0.05)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(BINANCE.raw_topic, KUCOIN.raw_topic) as settings:
        yield settings


def record(partitions: dict[int, PartitionProgress] | None = None) -> Delivered:
    delivered = Delivered(OURS, partitions=partitions or {})
    delivered.set_partitions(PARTITIONS, 0)
    return delivered


def taken(kafka: Settings, delivered: Delivered | None = None) -> dict[int, int]:
    """Return the positions after catch_up(), by partition, without those that are 0."""
    delivered = delivered or record()
    catch_up(BINANCE.raw_topic, kafka, delivered)
    return {partition: position for partition, position in delivered.taken().items() if position}


def send_positions(kafka: Settings, partition: int, *positions: int, journal: str = OURS) -> None:
    for position in positions:
        headers: dict[str, str | bytes | None] = {"journal": journal, "position": str(position)}
        send(kafka, BINANCE.raw_topic, partition, headers=headers)


def test_the_last_message_of_each_partition_says_its_position(kafka: Settings) -> None:
    send_positions(kafka, 0, 17, 42)
    send_positions(kafka, 2, 1_000_000_000_007)
    assert taken(kafka) == {0: 42, 2: 1_000_000_000_007}


def test_a_topic_without_messages_has_no_positions(kafka: Settings) -> None:
    assert taken(kafka) == {}


def test_a_partition_whose_last_message_is_another_journals_is_left_out(kafka: Settings) -> None:
    send_positions(kafka, 0, 17)
    send_positions(kafka, 0, 99, journal=ANOTHER)
    send_positions(kafka, 1, 99, journal=ANOTHER)
    send_positions(kafka, 1, 17)
    assert taken(kafka) == {1: 17}


def test_a_partition_whose_last_message_has_no_position_is_left_out(kafka: Settings) -> None:
    send(kafka, BINANCE.raw_topic, 0)
    send(kafka, BINANCE.raw_topic, 1, headers={"journal": OURS})
    assert taken(kafka) == {}


def test_the_other_exchanges_topic_is_not_looked_at(kafka: Settings) -> None:
    send(kafka, KUCOIN.raw_topic, 0, headers={"journal": OURS, "position": "17"})
    assert taken(kafka) == {}


def test_everything_from_the_recorded_offset_on_is_read(kafka: Settings) -> None:
    """Others write to the topic, too."""
    send_positions(kafka, 0, 17)
    for _ in range(3):
        send(kafka, BINANCE.raw_topic, 0)
    send_positions(kafka, 0, 42)
    send_positions(kafka, 0, 99, journal=ANOTHER)
    assert taken(kafka, record({0: PartitionProgress(1, 17)})) == {0: 42}


def test_nothing_before_the_recorded_offset_is_read(kafka: Settings) -> None:
    send_positions(kafka, 0, 99, 17)
    assert taken(kafka, record({0: PartitionProgress(2, 50)})) == {0: 50}


def test_a_partition_shorter_than_recorded_is_searched_for_our_last_message(
    kafka: Settings,
) -> None:
    send_positions(kafka, 0, 17)
    send_positions(kafka, 0, 99, journal=ANOTHER)
    assert taken(kafka, record({0: PartitionProgress(1000, 5)})) == {0: 17}


def test_what_kafka_has_lost_of_what_it_had_confirmed_is_to_be_sent_again(kafka: Settings) -> None:
    send_positions(kafka, 0, 17, 42)
    send_positions(kafka, 1, 50)
    delivered = record(
        {
            0: PartitionProgress(1000, 90),
            1: PartitionProgress(1, 50),
            2: PartitionProgress(1000, 80),
        }
    )
    delivered.position = 95
    assert taken(kafka, delivered) == {0: 42, 1: 50, 2: 80}
    assert (delivered.position, delivered.start()) == (42, 42)


def test_of_a_topic_that_was_created_again_nothing_is_sent_again(kafka: Settings) -> None:
    send_positions(kafka, 0, 99, journal=ANOTHER)
    delivered = record({n: PartitionProgress(1000, 90) for n in range(PARTITIONS)})
    delivered.position = 95
    assert taken(kafka, delivered) == dict.fromkeys(range(PARTITIONS), 90)
    assert delivered.start() == 95


def test_messages_that_could_not_be_read_are_read_by_the_next_attempt(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_positions(kafka, 0, 17, 42)
    delivered = record({0: PartitionProgress(0, 0)})

    def broken(*arguments: Any) -> Iterator[Message]:
        yield next(messages_to_the_end(*arguments))
        raise TopicError("no leader")

    with monkeypatch.context() as patched:
        patched.setattr("extractors.to_kafka.resume.messages_to_the_end", broken)
        with pytest.raises(TopicError):
            taken(kafka, delivered)
    assert delivered.partitions == {0: PartitionProgress(0, 0)}
    assert taken(kafka, delivered) == {0: 42}


@pytest.mark.parametrize("failing_partition", [0, 1])
def test_what_kafka_has_lost_is_also_sent_again_if_the_first_attempt_to_read_fails(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch, failing_partition: int
) -> None:
    send_positions(kafka, 0, 17, 42)
    send_positions(kafka, 1, 60, 95)
    delivered = record(
        {
            0: PartitionProgress(1000, 90),
            1: PartitionProgress(1, 60),
            **{n: PartitionProgress(0, 95) for n in (2, 3)},
        }
    )
    delivered.position = 95

    def broken(
        consumer: Consumer, topic: str, starts: dict[int, int], *others: Any
    ) -> Iterator[Message]:
        messages = messages_to_the_end(consumer, topic, starts, *others)
        if failing_partition in starts:
            yield next(messages)
            raise TopicError("no leader")
        yield from messages

    with monkeypatch.context() as patched:
        patched.setattr("extractors.to_kafka.resume.messages_to_the_end", broken)
        with pytest.raises(TopicError):
            taken(kafka, delivered)
    assert taken(kafka, delivered) == {0: 42, 1: 95, 2: 95, 3: 95}
    assert (delivered.position, delivered.start()) == (42, 42)


@pytest.mark.parametrize(("ours", "others", "read"), [(9, 0, 1), (50, 5, 11), (500, 50, 111)])
def test_only_the_end_of_a_partition_that_has_lost_messages_is_read(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch, ours: int, others: int, read: int
) -> None:
    send_positions(kafka, 0, *range(1, ours + 1))
    send_positions(kafka, 0, *[9999] * others, journal=ANOTHER)
    delivered = record({0: PartitionProgress(5000, 2000)})
    asked = 0

    def counted(
        consumer: Consumer, topic: str, starts: dict[int, int], timeout: float, ends: dict[int, int]
    ) -> Iterator[Message]:
        nonlocal asked
        asked += sum(ends[n] - start for n, start in starts.items())
        yield from messages_to_the_end(consumer, topic, starts, timeout, ends)

    monkeypatch.setattr("extractors.to_kafka.resume.messages_to_the_end", counted)
    assert taken(kafka, delivered) == {0: ours}
    assert asked == read


def test_after_catching_up_the_record_ends_where_the_topic_ends(kafka: Settings) -> None:
    send_positions(kafka, 0, 17, 42)
    delivered = record()
    catch_up(BINANCE.raw_topic, kafka, delivered)
    assert delivered.partitions == {
        0: PartitionProgress(2, 42),
        **{n: PartitionProgress(0, 0) for n in (1, 2, 3)},
    }


def test_a_new_journal_begins_at_the_ends_of_the_topic(kafka: Settings) -> None:
    send_positions(kafka, 0, 17, 42, journal=ANOTHER)
    delivered = record()
    begin(BINANCE.raw_topic, kafka, delivered)
    assert delivered.partitions == {
        0: PartitionProgress(2, 0),
        **{n: PartitionProgress(0, 0) for n in (1, 2, 3)},
    }


def test_messages_that_still_arrive_are_waited_for(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process may have sent them."""
    send_positions(kafka, 3, 1)
    arriving = iter([2, 3])
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        for position in arriving:
            send_positions(kafka, 3, position)
            return

    monkeypatch.setattr("extractors.to_kafka.resume.time", SimpleNamespace(sleep=sleep))
    assert taken(kafka) == {3: 3}
    assert pauses == [0.05] * 3


def test_messages_of_others_that_arrive_are_not_waited_for(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_positions(kafka, 3, 1)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        send_positions(kafka, 3, 99, journal=ANOTHER)

    monkeypatch.setattr("extractors.to_kafka.resume.time", SimpleNamespace(sleep=sleep))
    assert taken(kafka) == {3: 1}
    assert pauses == [0.05]


def test_a_kafka_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.to_kafka.resume.TIMEOUT", 0.2)
    with pytest.raises(TopicError, match=f"^topic {BINANCE.raw_topic}: "):
        taken(Settings(kafka_bootstrap_servers=NOWHERE))


def test_an_end_without_a_message_is_passed_over(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka counts some offsets without delivering a message, such as a transaction's end."""
    send_positions(kafka, 1, 17)
    monkeypatch.setattr(
        "extractors.to_kafka.resume._ends",
        lambda consumer, topic, partition: (0, 3 if partition == 1 else 0),
    )
    assert taken(kafka, record({1: PartitionProgress(0, 0)})) == {1: 17}
