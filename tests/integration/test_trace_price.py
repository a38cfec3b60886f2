"""Trace a stored price to the exchange's original item, in Kafka and in `raw/`."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.trace_price import Price, Traced, TraceError, item_at, shown, trace
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIPT, RECEIVED_AT, item
from tests.support.kafka import expire_all, produce
from tests.support.lake_queries import delete, keys, run_raw_archive
from tests.support.own_kafka import OwnKafka
from tests.support.postgres import execute
from tests.support.queries import run_live_prices

# A trailing zero, which a number would lose, and a space that no JSON encoder would write.
WORDS = json.dumps(item(BTCUSDT)).replace('"85439.99000000"', ' "85439.990"')
MESSAGE = f'["bad", {json.dumps(item(ETHUSDT))} ,{WORDS}]'.encode()


@pytest.fixture
def traced(spark: SparkSession, own_lake: Settings, tmp_path: Path) -> Settings:
    """Settings of a stack whose live job and archive have read one message."""
    produce(own_lake, BINANCE.raw_topic, MESSAGE, partition=2)
    run_live_prices(spark, own_lake, tmp_path / "live")
    run_raw_archive(spark, own_lake, tmp_path / "raw")
    return own_lake


def test_the_words_come_from_kafka_and_later_from_raw(
    spark: SparkSession, traced: Settings
) -> None:
    assert [*shown(trace(spark, traced, "binance:BTCUSDT"))] == [
        "binance:BTCUSDT 85439.99",
        f"place:    {BINANCE.raw_topic}/2, offset 0, item 2",
        "received: 2025-03-28T07:37:28.501233+00:00",
        "endpoint: 127.0.0.1:8090",
        "found in: Kafka",
        WORDS,
    ]
    expire_all(traced)
    [key] = keys(traced, "raw/")
    found = trace(spark, traced, "binance:BTCUSDT")
    assert (found.item, found.found_in) == (WORDS, f"s3a://{traced.s3_bucket}/{key}")
    assert json.loads(trace(spark, traced, "binance:ETHUSDT").item)["received_at"] == RECEIVED_AT

    delete(traced, key)
    with pytest.raises(
        TraceError, match=f"offset 0 of {BINANCE.raw_topic}/2 is in neither Kafka nor raw/"
    ):
        trace(spark, traced, "binance:BTCUSDT")


def test_a_price_is_shown_with_all_its_digits() -> None:
    price = Price(
        exchange="binance",
        symbol="BTCUSDT",
        price=Decimal("12345678901.123456789012345678"),
        topic=BINANCE.raw_topic,
        partition=2,
        offset=0,
        position=2,
        received_at=datetime(2025, 3, 28, tzinfo=UTC),
        endpoint=None,
    )
    assert next(shown(Traced(price, WORDS, "Kafka"))) == (
        "binance:BTCUSDT 12345678901.123456789012345678"
    )


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        pytest.param(0, "is not in Kafka, which ends at 0, nor in raw/", id="end"),
        pytest.param(1, "has another item 2", id="offset"),
    ],
)
def test_a_price_of_a_topic_that_was_created_again_is_found_in_raw(
    spark: SparkSession,
    traced: Settings,
    broker: OwnKafka,
    messages: int,
    problem: str,
) -> None:
    broker.renew_topics()
    for _ in range(messages):
        produce(traced, BINANCE.raw_topic, [item(BTCUSDT, RECEIVED_AT + 1)] * 3, partition=2)
    [key] = keys(traced, "raw/")
    found = trace(spark, traced, "binance:BTCUSDT")
    assert (found.item, found.found_in) == (WORDS, f"s3a://{traced.s3_bucket}/{key}")

    delete(traced, key)
    with pytest.raises(TraceError, match=f"{problem}.*created again"):
        trace(spark, traced, "binance:BTCUSDT")


def test_a_price_of_a_former_topic_is_told_from_the_same_offset_of_the_new_one(
    spark: SparkSession, traced: Settings, broker: OwnKafka, tmp_path: Path
) -> None:
    broker.renew_topics()
    Archive(spark, lake_root(traced)).accept(topic_ids(traced, EXCHANGE_OF_TOPIC))
    produce(traced, BINANCE.raw_topic, [item(BTCUSDT, RECEIVED_AT + 1)] * 3, partition=2)
    run_raw_archive(spark, traced, tmp_path / "new")
    expire_all(traced)
    assert trace(spark, traced, "binance:BTCUSDT").item == WORDS


def test_an_item_received_after_the_year_9999_is_another() -> None:
    price = Price("binance", "BTCUSDT", Decimal(1), BINANCE.raw_topic, 0, 0, 0, RECEIPT, None)
    message = b'[{"s":"BTCUSDT","received_at":999999999999999999}]'
    assert item_at(price, message) is None


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("binance:NONE", "live_prices has no price of binance:NONE"),
        ("BTCUSDT", "SYMBOL=BTCUSDT: write exchange:symbol. The exchanges are binance, kucoin"),
        ("nasdaq:BTCUSDT", "The exchanges are binance, kucoin"),
        ("binance:", "write exchange:symbol"),
    ],
)
def test_a_symbol_that_is_not_there_is_named(
    spark: SparkSession, database: Settings, symbol: str, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        trace(spark, database, symbol)


def test_a_place_that_does_not_fit_kafka_is_named(
    spark: SparkSession, traced: Settings, owner: connection
) -> None:
    execute(owner, "UPDATE live_prices SET position = 0")
    with pytest.raises(TraceError, match="has another item 0"):
        trace(spark, traced, "binance:BTCUSDT")
    execute(owner, "UPDATE live_prices SET position = 9")
    with pytest.raises(TraceError, match="has another item 9"):
        trace(spark, traced, "binance:BTCUSDT")
    execute(owner, 'UPDATE live_prices SET "offset" = 9')
    with pytest.raises(TraceError, match="is not in Kafka, which ends at 1"):
        trace(spark, traced, "binance:BTCUSDT")
