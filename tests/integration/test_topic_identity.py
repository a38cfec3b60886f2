"""Refuse a topic that was deleted and created again, at any end offset, until it is accepted."""

from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.kafka_client import client_configuration
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.broker_clock import ClockError
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import TopicError, topic_ids
from tests.support.frames import BTCUSDT, item, record
from tests.support.own_kafka import OwnKafka
from tests.support.postgres import execute, rows
from tests.support.queries import price_sink, write

TOPIC_PARTITION = (BINANCE.raw_topic, 0)


def fill(settings: Settings, messages: int) -> None:
    """Produce messages to the first partition."""
    producer = Producer(client_configuration(settings))
    for _ in range(messages):
        producer.produce(BINANCE.raw_topic, b"[]", partition=0)
    assert producer.flush(30) == 0


def stored_ids(owner: connection) -> list[tuple[Any, ...]]:
    return rows(owner, "SELECT topic_id FROM kafka_progress")


def test_kafkas_client_writes_nothing_between_the_lines_of_a_command(
    broker: OwnKafka, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):
        assert topic_ids(broker.settings, EXCHANGE_OF_TOPIC)
    assert capfd.readouterr().err == ""


def test_topic_that_was_created_again_is_refused_and_accepted_by_a_command(
    spark: SparkSession, broker: OwnKafka, database: Settings, owner: connection
) -> None:
    database = replace(database, kafka_bootstrap_servers=broker.settings.kafka_bootstrap_servers)
    fill(database, 3)
    old = topic_ids(database, EXCHANGE_OF_TOPIC)
    with price_sink(database) as sink:
        assert sink.postgres.resume(old) == {}
        write(spark, sink, record([item(BTCUSDT)], offset=2))
    assert stored_ids(owner) == [(old[BINANCE.raw_topic],)]

    broker.renew_topics()
    fill(database, 5)
    new = topic_ids(database, EXCHANGE_OF_TOPIC)
    with price_sink(database) as sink:
        with pytest.raises(TopicError, match=f"{old[BINANCE.raw_topic]}.*make accept-topics"):
            sink.postgres.resume(new)
        assert rows(owner, "SELECT next_offset FROM kafka_progress") == [(3,)]

        assert sink.postgres.accept(new) == [BINANCE.raw_topic]
        assert sink.postgres.resume(new) == {}
        write(spark, sink, record([item(BTCUSDT)], offset=0))
        assert sink.postgres.accept(new) == []
    assert stored_ids(owner) == [(new[BINANCE.raw_topic],)]
    with price_sink(database) as sink:
        assert sink.postgres.resume(new) == {TOPIC_PARTITION: 1}


def test_progress_of_an_earlier_version_has_no_id_and_resumes(
    spark: SparkSession, broker: OwnKafka, database: Settings, owner: connection
) -> None:
    with price_sink(database) as sink:
        write(spark, sink, record([item(BTCUSDT)], offset=2))
    assert stored_ids(owner) == [(None,)]
    ids = topic_ids(broker.settings, EXCHANGE_OF_TOPIC)
    with price_sink(database) as sink:
        assert sink.postgres.resume(ids) == {TOPIC_PARTITION: 3}
        write(spark, sink, record([item(BTCUSDT)], offset=3))
    assert stored_ids(owner) == [(ids[BINANCE.raw_topic],)]


def test_a_topic_is_accepted_with_its_partitions_whose_id_was_not_known_yet(
    database: Settings, owner: connection
) -> None:
    execute(
        owner,
        "INSERT INTO kafka_progress (topic, partition, next_offset, topic_id) VALUES"
        " ('binance_raw_data', 0, 7, 'former'), ('binance_raw_data', 1, 8, NULL),"
        " ('kucoin_raw_data', 0, 9, NULL)",
    )
    with price_sink(database) as sink:
        assert sink.postgres.accept({BINANCE.raw_topic: "new", KUCOIN.raw_topic: "first"}) == [
            BINANCE.raw_topic
        ]
        assert sink.postgres.progress() == {(KUCOIN.raw_topic, 0): 9}


def test_without_ids_nothing_is_accepted(database: Settings) -> None:
    with price_sink(database) as sink:
        assert sink.postgres.accept({}) == []


def test_ids_are_the_same_after_a_restart_of_the_broker(broker: OwnKafka) -> None:
    before = topic_ids(broker.settings, EXCHANGE_OF_TOPIC)
    assert set(before) == set(EXCHANGE_OF_TOPIC)
    broker.restart()
    assert topic_ids(broker.settings, EXCHANGE_OF_TOPIC) == before


def test_raw_topic_with_the_producers_clock_is_refused(
    spark: SparkSession, broker: OwnKafka
) -> None:
    broker.configure(BINANCE.raw_topic, "message.timestamp.type", "CreateTime")
    said = f"topic {BINANCE.raw_topic} has message.timestamp.type=CreateTime"
    with pytest.raises(ClockError, match=said):
        kafka_records(spark, broker.settings, EXCHANGE_OF_TOPIC, {})


def test_topic_that_is_not_there_is_named(spark: SparkSession, broker: OwnKafka) -> None:
    broker.delete(KUCOIN.raw_topic)
    with pytest.raises(OffsetError, match=f"^topic {KUCOIN.raw_topic}: .* Was it created"):
        kafka_records(spark, broker.settings, EXCHANGE_OF_TOPIC, {})
