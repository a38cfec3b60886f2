"""Read single messages from a real Kafka: in any order, with gaps, and resuming after the last read."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from core.settings import Settings
from exchanges.binance import BINANCE
from spark_jobs.history.kept_messages import MESSAGES_AT_ONCE, KeptMessages, MissingError
from tests.support.kafka import all_ends, expire_all, produce

PARTITION = 3


def values(messages: KeptMessages, *offsets: int) -> list[tuple[int, bytes]]:
    read = pl.concat(messages.read(BINANCE.raw_topic, PARTITION, offsets))
    assert set(read["endpoint"]) == {"127.0.0.1:8090"}
    oldest = read["timestamp"].min()
    assert isinstance(oldest, datetime)
    assert datetime.now(UTC) - timedelta(hours=1) < oldest <= datetime.now(UTC)
    return read.select("offset", "value").rows()


def test_exactly_the_wanted_messages_are_read(settings: Settings) -> None:
    expire_all(settings)
    begin = all_ends(settings)[BINANCE.raw_topic, PARTITION]
    count = 2 * MESSAGES_AT_ONCE + 1
    sent = [b"%d" % n for n in range(count)]
    produce(settings, BINANCE.raw_topic, *sent, partition=PARTITION)
    with KeptMessages(settings) as messages:
        assert messages.held(BINANCE.raw_topic, PARTITION) == range(begin, begin + count)
        expected = [(begin + n, value) for n, value in enumerate(sent)]
        assert values(messages, begin + 7, begin + 2) == [expected[2], expected[7]]
        assert values(messages, begin + 8) == [expected[8]]
        assert values(messages, begin) == [expected[0]]
        assert values(messages, *range(begin, begin + count)) == expected
        sizes = [
            len(frame)
            for frame in messages.read(BINANCE.raw_topic, PARTITION, range(begin, begin + count))
        ]
        assert sizes == [MESSAGES_AT_ONCE, MESSAGES_AT_ONCE, 1]
        # Expire the messages, so that no other test reads them.
        expire_all(settings)
        with pytest.raises(MissingError, match=f"{BINANCE.raw_topic}/{PARTITION}: .*out of range"):
            values(messages, begin + 1)


def test_a_message_that_does_not_arrive_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.history.kept_messages.KAFKA_TIMEOUT", 1.0)
    end = all_ends(settings)[BINANCE.raw_topic, PARTITION]
    with KeptMessages(settings) as messages, pytest.raises(MissingError, match="no message"):
        values(messages, end)
