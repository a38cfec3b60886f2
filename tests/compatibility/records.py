"""Convert kept records to those of Kafka and Spark, and create records with later offsets."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from psycopg2.extensions import connection
from pyspark.sql import Row

from core.settings import Settings
from exchanges.binance import BINANCE
from spark_jobs.kafka_source.offsets import Offsets
from tests.compatibility.kept import Place, Record
from tests.support.frames import BTCUSDT, item, microseconds
from tests.support.postgres import rows

ALL_DAYS = timedelta(days=365 * 100)
"""Retention of candles in these tests, because the kept data grow old."""

NOT_BY_MESSAGES = {"batch_id", "written_at"}
"""Columns that depend on the batch and not on its messages."""


def as_read(kept: Iterable[Record]) -> list[Row]:
    """Return records as Spark reads them from Kafka."""
    return [
        Row(
            key=record.key and bytearray(record.key),
            value=record.value and bytearray(record.value),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=datetime.fromtimestamp(record.timestamp / 1e3, UTC),
            timestampType=1,
            headers=[Row(key=name, value=bytearray(value)) for name, value in record.headers],
        )
        for record in kept
    ]


def ticker_record(ends: Offsets, sequence: int, received_at: datetime) -> Record:
    """Return a message with one Binance ticker and the next offset of partition 0."""
    received = microseconds(received_at)
    items = [item(BTCUSDT, received, E=sequence, c="1.5")]
    return Record(
        BINANCE.raw_topic,
        0,
        ends[BINANCE.raw_topic, 0],
        received // 1000,
        b"binance-0",
        [("endpoint", b"127.0.0.1")],
        json.dumps(items).encode(),
    )


def newest_record(ends: Offsets) -> Record:
    now = datetime.now(UTC)
    return ticker_record(ends, round(now.timestamp() * 1e3), now)


def item_received_at(record: Record) -> datetime:
    [found] = json.loads(record.value or b"")
    return datetime.fromtimestamp(found["received_at"] / 1e6, UTC)


def rows_by_messages(database: connection, table: str) -> list[dict[str, Any]]:
    """Return a table's rows without the columns in NOT_BY_MESSAGES. Numbers are exact."""
    return [
        {name: value for name, value in row.items() if name not in NOT_BY_MESSAGES}
        for (text,) in rows(database, f"SELECT to_jsonb(t)::text FROM {table} t")
        for row in [json.loads(text, parse_float=str)]
    ]


def items_in(kept: Iterable[Record]) -> list[dict[str, Any]]:
    """Return the items of the messages that an extractor sent."""
    return [
        found
        for record in kept
        if "journal" in dict(record.headers)
        for found in json.loads(record.value or b"")
    ]


def produce(settings: Settings, kept: Sequence[Record]) -> dict[Place, Place]:
    """Produce the records to their partitions, with their timestamps if the topic keeps them.

    Return the new topic, partition and offset of each.
    """
    moved: dict[Place, Place] = {}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for record in kept:

        def delivered(error: KafkaError | None, message: Message, record: Record = record) -> None:
            assert error is None, error
            moved[record.place] = (record.topic, record.partition, message.offset() or 0)

        headers: list[tuple[str, str | bytes | None]] = [*record.headers]
        producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            on_delivery=delivered,
            timestamp=record.timestamp,
            headers=headers,
        )
    assert producer.flush(30) == 0
    assert len(moved) == len(kept)
    return moved
