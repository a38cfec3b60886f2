"""Test that each small message is written, in order per key, even if Kafka refuses it at first."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError

from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from extractors.shutdown import Shutdown
from extractors.to_kafka.publisher import Publisher
from tests.support.kafka import Topic
from tests.support.small_kafka import by_partition, create, small_kafka
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.to_kafka.publisher.RETRY_INTERVAL", 0.05)
    monkeypatch.setattr("extractors.to_kafka.publisher.WAKE_INTERVAL", 0.05)
    monkeypatch.setattr("extractors.to_kafka.topics.RETRY_INTERVAL", 0.2)


@pytest.fixture
def kafka() -> Iterator[Settings]:
    with small_kafka(FEED_EVENTS, INSTRUMENTS) as settings:
        yield settings


def numbers_in(topic: Topic) -> list[int]:
    [messages] = by_partition(topic).values()
    return [json.loads(each.value() or b"")["number"] for each in messages]


def publish(publisher: Publisher, numbers: range) -> None:
    for number in numbers:
        publisher.publish(FEED_EVENTS, b"binance", {"number": number})


def wait_for_end(publisher: Publisher) -> None:
    publisher.close()
    wait_for(publisher.is_alive, lambda is_alive: not is_alive)


def test_a_published_message_is_one_object_under_its_key(kafka: Settings) -> None:
    topic = Topic(kafka, FEED_EVENTS)
    publisher = Publisher(kafka, Shutdown(10.0))
    publisher.start()
    publish(publisher, range(10))
    wait_for_end(publisher)
    assert numbers_in(topic) == list(range(10))
    assert {each.key() for each in topic.messages()} == {b"binance"}


def test_what_is_published_before_the_topics_exist_arrives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with small_kafka(INSTRUMENTS) as kafka:
        publisher = Publisher(kafka, Shutdown(10.0))
        publisher.start()
        publish(publisher, range(3))
        wait_for(lambda: caplog.text, lambda text: f"topic {FEED_EVENTS} does not exist" in text)
        create(kafka, FEED_EVENTS)
        topic = Topic(kafka, FEED_EVENTS)
        wait_for_end(publisher)
        assert numbers_in(topic) == [0, 1, 2]


class Refuses(Publisher):
    """Publisher that gets errors for its first messages, although Kafka has written them."""

    refusals = 2
    code = KafkaError.TOPIC_AUTHORIZATION_FAILED

    def _on_delivery(self, outgoing: Any, error: KafkaError | None, message: Any) -> None:
        if self.refusals:
            self.refusals -= 1
            error = KafkaError(self.code)
        super()._on_delivery(outgoing, error, message)


def test_messages_that_failed_are_sent_again_in_their_order(
    kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka, FEED_EVENTS)
    publisher = Refuses(kafka, Shutdown(10.0))
    publish(publisher, range(4))
    publisher.start()
    wait_for_end(publisher)
    last: dict[int, int] = {number: place for place, number in enumerate(numbers_in(topic))}
    assert sorted(last) == [0, 1, 2, 3]
    assert last[0] < last[1]
    assert f"needs Write and Describe on topic {FEED_EVENTS}" in caplog.text


class TooLarge(Refuses):
    refusals = 1
    code = KafkaError.MSG_SIZE_TOO_LARGE


def test_a_message_that_is_refused_as_too_large_is_named_and_not_sent_again(
    kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(kafka, FEED_EVENTS)
    publisher = TooLarge(kafka, Shutdown(10.0))
    publish(publisher, range(2))
    publisher.start()
    wait_for_end(publisher)
    assert numbers_in(topic) == [0, 1]
    assert caplog.text.count("message refused key=b'binance'") == 1


def test_without_kafka_the_stop_ends_it_and_names_what_is_unpublished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = Shutdown(0.3)
    with small_kafka(FEED_EVENTS, INSTRUMENTS) as kafka:
        publisher = Publisher(kafka, stop)
        publisher.start()
        publish(publisher, range(1))
        wait_for(publisher.unpublished, lambda unpublished: unpublished == 0)
    publish(publisher, range(1, 4))
    stop.request()
    wait_for_end(publisher)
    assert "publisher ended unpublished=3" in caplog.text
