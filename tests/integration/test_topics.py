"""Check retention and compaction of the stack's topics."""

import itertools
from contextlib import closing

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from core.settings import Settings
from core.topics import EXCHANGE_CANDLES, FEED_EVENTS, INSTRUMENTS
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.services.kafka import INSTRUMENTS_CONFIG
from tests.support.waiting import wait_for

DAY = 24 * 3600 * 1000


def test_each_topic_keeps_what_it_should(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    names = ("cleanup.policy", "retention.ms", "message.timestamp.type")
    topics = admin.list_topics(timeout=30).topics
    found = {}
    for topic in (BINANCE.raw_topic, KUCOIN.raw_topic, INSTRUMENTS, FEED_EVENTS, EXCHANGE_CANDLES):
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = admin.describe_configs([resource])[resource].result(timeout=30)
        found[topic] = (len(topics[topic].partitions), *(config[name].value for name in names))
    raw = (4, "delete", str(7 * DAY), "LogAppendTime")
    assert found == {
        BINANCE.raw_topic: raw,
        KUCOIN.raw_topic: raw,
        INSTRUMENTS: (1, "compact", str(7 * DAY), "LogAppendTime"),
        FEED_EVENTS: (1, "delete", str(30 * DAY), "LogAppendTime"),
        EXCHANGE_CANDLES: (1, "delete", str(30 * DAY), "LogAppendTime"),
    }


def test_instruments_are_really_compacted(settings: Settings) -> None:
    """Use the topic's settings with 1 s in place of an hour."""
    topic = "instruments-of-a-test"
    config = INSTRUMENTS_CONFIG | {"max.compaction.lag.ms": "1000"}
    servers: dict[str, str | int | float | bool] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers
    }
    admin = AdminClient(servers)
    admin.create_topics([NewTopic(topic, 1, 1, config=config)])[topic].result(timeout=30)
    producer = Producer(servers)
    counter = itertools.count()

    def first_offset() -> int | None:
        """Append a message and return the oldest remaining offset; only an append closes a segment."""
        producer.produce(topic, str(next(counter)), key="binance/BTCUSDT")
        assert producer.flush(30) == 0
        with closing(Consumer({**servers, "group.id": "test"})) as consumer:
            consumer.assign([TopicPartition(topic, 0, 0)])
            message = consumer.poll(10)
            return message.offset() if message else None

    assert first_offset() == 0
    wait_for(first_offset, bool, deadline=180, pause=0.2)
