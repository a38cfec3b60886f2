"""Rename a field, so that every item is a dead letter: Kafka, live job, Postgres and audit."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from psycopg2.extensions import connection, cursor
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.kucoin import KUCOIN
from spark_jobs.audit import audit
from spark_jobs.check.verdicts import Verdict
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import live_prices
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.run.runner import fresh_checkpoint
from spark_jobs.run.sink import Counts
from spark_jobs.tickers.letters.reducer import EXAMPLES
from tests.support.dead_letters import stored_spans
from tests.support.frames import CRO_USDT, item
from tests.support.kafka import expire_all, produce
from tests.support.postgres import execute, rows
from tests.support.queries import run_once

pytestmark = pytest.mark.fault

MESSAGES, ITEMS, BATCHES = 400, 500, 4
PARTITIONS = 2
CAUSE = "sequence is missing"

MOST_BYTES = 100_000
"""Maximum size of a batch's rows in the driver, in bytes; its messages have 15 million."""


class Measured(PriceSink):
    """A sink that records the size of the rows that each batch brings to the driver."""

    def __init__(self, database_url: str) -> None:
        super().__init__(database_url)
        self.bytes: list[int] = []

    def _write_rows(self, statements: cursor, rows: pa.Table, reached: Offsets) -> Counts:
        self.bytes.append(rows.nbytes)
        return super()._write_rows(statements, rows, reached)


def renamed(number: int) -> dict[str, Any]:
    data = {**CRO_USDT["data"], "sequence_number": "1"}
    del data["sequence"]
    frame = {**CRO_USDT, "subject": f"S{number}-USDT", "data": data}
    return item(frame, time.time_ns() // 1000)


def test_a_flood_is_counted_exactly_in_few_rows_and_the_audit_agrees(
    spark: SparkSession, database: Settings, owner: connection, tmp_path: Path
) -> None:
    expire_all(database)
    message = [renamed(number) for number in range(ITEMS)]
    for partition in range(PARTITIONS):
        # Only the last item of the last message can be read.
        count = MESSAGES // PARTITIONS
        produce(database, KUCOIN.raw_topic, *[message] * (count - 1), partition=partition)
        produce(database, KUCOIN.raw_topic, [*message[1:], item(CRO_USDT)], partition=partition)

    with closing(Measured(database.database_url)) as sink:
        records = kafka_records(
            spark, database, EXCHANGE_OF_TOPIC, sink.postgres.progress(), MESSAGES // BATCHES
        )
        run_once(live_prices(records, sink, fresh_checkpoint(str(tmp_path), sink.query)))
        share = sink.unreadable()["kucoin"]

    letters = MESSAGES * ITEMS - PARTITIONS
    batches = len(sink.bytes)
    assert batches >= BATCHES
    assert max(sink.bytes) < MOST_BYTES
    assert share.cause == CAUSE
    spans = stored_spans(owner)
    assert sum(span.letters for span in spans) == letters
    assert {(span.topic, span.cause) for span in spans} == {(KUCOIN.raw_topic, CAUSE)}
    # Two spans for each partition, and one more if a block begins meanwhile.
    assert 2 * PARTITIONS <= len(spans) <= 3 * PARTITIONS
    [(examples,)] = rows(owner, "SELECT count(*) FROM dead_letters")
    assert EXAMPLES <= examples <= EXAMPLES * batches
    assert rows(owner, "SELECT sum(dead_letters), count(*) FROM batches") == [(letters, batches)]
    reading = (
        "SELECT sum((reading#>>'{kucoin,dead_letters,sequence is missing}')::int) FROM batches"
    )
    assert rows(owner, reading) == [(letters,)]

    def audited() -> Verdict:
        tables = {verdict.table: verdict for verdict in audit(spark, database)}
        found = tables.pop("dead_letter_spans")
        assert [tables[name].differ for name in ("live_prices", "candles_1m", "dead_letters")] == [
            0
        ] * 3
        return found

    right = audited()
    assert (right.differ, right.not_compared) == (0, 0)
    assert PARTITIONS <= right.rows <= 2 * PARTITIONS

    first = min(span for span in spans if span.positions is None)
    execute(
        owner,
        "UPDATE dead_letter_spans SET letters = letters + 1 WHERE partition = %s AND first_offset = %s",
        first.partition,
        first.first_offset,
    )
    wrong = audited()
    assert wrong.differ == 1
    assert wrong.examples[0].startswith(f"{KUCOIN.raw_topic} {first.partition} {CAUSE} ")
    assert "letters: " in wrong.examples[0]
