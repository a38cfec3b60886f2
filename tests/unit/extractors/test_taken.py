"""How far a journal has come into its topic: what a new process goes on behind."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, KUCOIN_RAW_DATA
from extractors.taken import TopicError, taken_positions
from tests.support.feeds import NOWHERE
from tests.support.small_kafka import send, small_kafka

pytestmark = pytest.mark.independent

OURS = "3f9c1a2b00c4d5e6"
ANOTHER = "00000000000000aa"


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.taken.STILL_FOR", 0.05)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(BINANCE_RAW_DATA, KUCOIN_RAW_DATA) as settings:
        yield settings


def taken(kafka: Settings) -> dict[int, int]:
    return taken_positions("binance", OURS, kafka.kafka_bootstrap_servers)


def send_positions(kafka: Settings, partition: int, *positions: int, journal: str = OURS) -> None:
    for position in positions:
        headers: dict[str, str | bytes | None] = {"journal": journal, "position": str(position)}
        send(kafka, BINANCE_RAW_DATA, partition, headers=headers)


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
    send(kafka, BINANCE_RAW_DATA, 0)
    send(kafka, BINANCE_RAW_DATA, 1, headers={"journal": OURS})
    assert taken(kafka) == {}


def test_the_other_exchanges_topic_is_not_looked_at(kafka: Settings) -> None:
    send(kafka, KUCOIN_RAW_DATA, 0, headers={"journal": OURS, "position": "17"})
    assert taken(kafka) == {}


def test_messages_that_still_arrive_are_waited_for(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process sent before it was killed."""
    send_positions(kafka, 3, 1)
    arriving = iter([2, 3])
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        for position in arriving:
            send_positions(kafka, 3, position)
            return

    monkeypatch.setattr("extractors.taken.time", SimpleNamespace(sleep=sleep))
    assert taken(kafka) == {3: 3}
    assert pauses == [0.05] * 3


def test_a_kafka_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.taken.TIMEOUT", 0.2)
    with pytest.raises(TopicError, match=f"^topic {BINANCE_RAW_DATA}: "):
        taken_positions("binance", OURS, NOWHERE)


def test_an_end_without_a_message_is_an_error(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that Kafka names and does not deliver, as after a lost leader."""
    send_positions(kafka, 1, 17)
    ends = {0: (0, 0), 1: (0, 2), 2: (0, 0), 3: (0, 0)}
    monkeypatch.setattr("extractors.taken._still_ends", lambda *_: ends)
    with pytest.raises(TopicError, match=f"^{BINANCE_RAW_DATA}/1: no message at 1: "):
        taken(kafka)
