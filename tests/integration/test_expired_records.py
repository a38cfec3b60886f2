"""Start a job whose next records have expired: refused if raw/ may have them, else logged as lost."""

import logging

import pytest

from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS
from exchanges.binance import BINANCE
from spark_jobs.kafka_source.partitions import OffsetError, skip_expired, starting_offsets
from tests.support.kafka import delete_records, produce
from tests.support.own_kafka import OwnKafka


def expire(settings: Settings, topic: str) -> None:
    """Let the first two of the topic's three records expire."""
    produce(settings, topic, 1, 2, 3)
    delete_records(settings, {(topic, 0): 2})


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


@pytest.mark.parametrize("topic", [FEED_EVENTS, EXCHANGE_CANDLES])
def test_records_that_only_kafka_had_are_logged_as_lost_and_the_rest_is_read(
    broker: OwnKafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = broker.settings
    expire(settings, topic)
    assert starting_offsets(settings, [topic], {(topic, 0): 1}) == {(topic, 0): 2}
    assert errors(caplog) == [
        f"lost topic={topic} partition=0 first=1 last=1 reason='expired unread'"
    ]
    caplog.clear()
    assert starting_offsets(settings, [topic], {(topic, 0): 2}) == {(topic, 0): 2}
    assert starting_offsets(settings, [topic], {}) == {(topic, 0): 2}
    assert errors(caplog) == []


def test_records_that_raw_may_have_are_not_skipped(
    broker: OwnKafka, caplog: pytest.LogCaptureFixture
) -> None:
    topic = BINANCE.raw_topic
    settings = broker.settings
    expire(settings, topic)
    with pytest.raises(
        OffsetError, match=f"^{topic}/0 begins at offset 2, but the next to read is 1"
    ):
        starting_offsets(settings, [topic], {(topic, 0): 1})
    assert errors(caplog) == []


def test_the_archive_skips_expired_records_and_logs_them_as_lost(
    broker: OwnKafka, caplog: pytest.LogCaptureFixture
) -> None:
    topic = BINANCE.raw_topic
    settings = broker.settings
    expire(settings, topic)
    progress = {(topic, 0): 1, (topic, 1): 5}
    # Progress beyond the end is not expired: it is refused where the query starts.
    assert skip_expired(settings, progress) == {(topic, 0): 2, (topic, 1): 5}
    assert errors(caplog) == [
        f"lost topic={topic} partition=0 first=1 last=1 reason='expired unread'"
    ]
