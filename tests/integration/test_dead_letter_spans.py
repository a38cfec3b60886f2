"""Count each dead letter once in few rows of Postgres, and keep some as examples."""

from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import Row, SparkSession

from core.settings import Settings
from core.topics import INSTRUMENTS
from exchanges.kucoin import KUCOIN
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.small_topics import parse_small_topics
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from spark_jobs.tickers.letters.reducer import EXAMPLES
from spark_jobs.tickers.letters.spans import BLOCK, EVERY_ITEM, THE_MESSAGE, Span, to_bits
from tests.support.dead_letters import insert_as_before, places_of_letters, stored_spans
from tests.support.frames import BTCUSDT, item, record, records
from tests.support.postgres import contents, execute, rows
from tests.support.queries import write
from tests.support.spark_settings import spark_settings

TOPIC = "binance_raw_data"
NO_OBJECT, NO_ARRAY = "the item is no JSON object", "the message is no JSON array"
GOOD = item(BTCUSDT)


def flood(offset: int, count: int = 7, partition: int = 0) -> Row:
    """Return a message whose items are all dead letters."""
    return record([7] * count, partition=partition, offset=offset)


def span(first: int, last: int, letters: int, positions: bytes | None = EVERY_ITEM) -> Span:
    return Span(TOPIC, 0, NO_OBJECT, first, last, letters, positions)


def test_a_flood_of_several_batches_is_one_span_with_few_examples(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, *(flood(offset) for offset in range(3)))
    write(spark, sink, flood(3), flood(4, count=500))
    write(spark, sink, flood(5, count=1))
    assert stored_spans(owner) == [span(0, 5, 4 * 7 + 500 + 1)]
    assert places_of_letters(owner) == [
        *((TOPIC, 0, 0, position) for position in range(7)),
        *((TOPIC, 0, 1, position) for position in range(EXAMPLES - 7)),
    ]
    assert rows(owner, "SELECT dead_letters FROM batches ORDER BY id") == [(21,), (507,), (1,)]
    counted = "SELECT reading->'binance'->'dead_letters' FROM batches ORDER BY id"
    assert rows(owner, counted) == [({NO_OBJECT: n},) for n in (21, 507, 1)]


def test_single_letters_in_a_row_are_all_kept_until_they_are_many(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    for offset in range(EXAMPLES + 2):
        write(spark, sink, record([GOOD, 7], offset=offset))
    assert stored_spans(owner) == [span(0, EXAMPLES + 1, EXAMPLES + 2, to_bits([1]))]
    assert places_of_letters(owner) == [(TOPIC, 0, offset, 1) for offset in range(EXAMPLES)]


def test_an_interrupted_flood_keeps_few_examples_of_each_block(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    def every_second(first: int, end: int) -> list[Row]:
        return [record([GOOD, 7] if n % 2 else [GOOD], offset=n) for n in range(first, end)]

    write(spark, sink, *every_second(0, 4 * EXAMPLES))
    write(spark, sink, *every_second(4 * EXAMPLES, 8 * EXAMPLES), record(b"?", offset=8 * EXAMPLES))
    write(spark, sink, *every_second(BLOCK, BLOCK + 4))
    assert sum(each.letters for each in stored_spans(owner)) == 4 * EXAMPLES + 1 + 2
    assert places_of_letters(owner) == [
        *((TOPIC, 0, offset, 1) for offset in range(1, 2 * EXAMPLES, 2)),
        (TOPIC, 0, 8 * EXAMPLES, -1),
        *((TOPIC, 0, offset, 1) for offset in (BLOCK + 1, BLOCK + 3)),
    ]


def test_a_span_goes_on_only_with_the_same_positions_and_in_its_block(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, record([GOOD, 7], offset=BLOCK - 3))
    write(spark, sink, record([7, GOOD], offset=BLOCK - 2))
    write(spark, sink, record([7, GOOD, GOOD], offset=BLOCK - 1))
    write(spark, sink, record([7, GOOD], offset=BLOCK))
    write(spark, sink, record([GOOD], offset=BLOCK + 1))
    write(spark, sink, record([7, GOOD], offset=BLOCK + 2))
    first = to_bits([0])
    assert stored_spans(owner) == [
        span(BLOCK - 3, BLOCK - 3, 1, to_bits([1])),
        span(BLOCK - 2, BLOCK - 1, 2, first),
        span(BLOCK, BLOCK, 1, first),
        span(BLOCK + 2, BLOCK + 2, 1, first),
    ]


def test_the_examples_of_a_batch_are_its_lowest_over_all_tasks(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    floods = (flood(offset, 4, partition) for partition in (2, 1) for offset in (8, 9))
    with spark_settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": "1"}):
        write(spark, sink, *floods)
    assert [
        (each.partition, each.first_offset, each.last_offset, each.letters)
        for each in stored_spans(owner)
    ] == [
        (1, 8, 9, 8),
        (2, 8, 9, 8),
    ]
    assert places_of_letters(owner) == [
        *((TOPIC, 1, offset, position) for offset in (8, 9) for position in range(4)),
        *((TOPIC, 2, 8, position) for position in range(2)),
    ]


def test_a_batch_again_counts_nothing_again(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    batch = [flood(0), record([GOOD, 7], offset=1), record(b"?", offset=2)]
    write(spark, sink, *batch)
    tables = ("dead_letter_spans", "dead_letters", "batches")
    before = contents(owner, tables)
    write(spark, sink, *batch)
    assert contents(owner, tables) == before
    write(spark, sink, record(b"?", offset=3))
    assert stored_spans(owner)[-1] == Span(TOPIC, 0, NO_ARRAY, 2, 3, 2, THE_MESSAGE)


def test_a_batch_that_fails_counts_nothing(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, flood(0))
    before = contents(owner, ("dead_letter_spans", "dead_letters"))
    execute(owner, "ALTER TABLE batches ADD CONSTRAINT refuse CHECK (rows_written <> 1)")
    with pytest.raises(psycopg2.errors.CheckViolation):
        write(spark, sink, flood(1), record([GOOD], offset=2))
    assert contents(owner, ("dead_letter_spans", "dead_letters")) == before


def test_a_flood_of_a_small_topic_is_counted_too(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    with closing(SmallTopicsSink(database.database_url)) as sink:
        for start in (0, 50):
            batch = [record(b"?", INSTRUMENTS, offset=start + n) for n in range(50)]
            sink.write(parse_small_topics(records(spark, *batch)), 0)
    cause = "the message is no JSON object"
    assert stored_spans(owner) == [Span(INSTRUMENTS, 0, cause, 0, 99, 100, THE_MESSAGE)]
    assert places_of_letters(owner) == [(INSTRUMENTS, 0, offset, -1) for offset in range(EXAMPLES)]


def test_dead_letters_of_a_topic_that_was_created_again_are_deleted(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, flood(0), record([0], KUCOIN.raw_topic))
    execute(owner, "UPDATE kafka_progress SET topic_id = 'former'")
    assert sink.postgres.accept({TOPIC: "new", KUCOIN.raw_topic: "former"}) == [TOPIC]
    assert [span.topic for span in stored_spans(owner)] == [KUCOIN.raw_topic]
    assert places_of_letters(owner) == [(KUCOIN.raw_topic, 0, 0, 0)]


@pytest.mark.parametrize("letters", [5, 7])
def test_a_count_that_its_positions_contradict_is_refused(owner: connection, letters: int) -> None:
    """Two letters in each of three messages must count as six."""
    insert = "INSERT INTO dead_letter_spans VALUES ('t', 0, 'c', 10, 12, %s, %s)"
    with pytest.raises(psycopg2.errors.CheckViolation):
        execute(owner, insert, letters, to_bits([0, 9]))
    execute(owner, insert, 6, to_bits([0, 9]))


def earlier_row(offset: int, position: int, reason: str, topic: str = TOPIC) -> tuple[Any, ...]:
    """Return a row of dead_letters as versions with only that table wrote it."""
    return (topic, 2, offset, position, reason, b"", None)


def test_what_an_earlier_version_wrote_is_counted(owner: connection) -> None:
    insert_as_before(
        owner,
        [
            earlier_row(3, 0, "price can't be read: a:b"),
            earlier_row(3, 1, "price can't be read: c"),
            earlier_row(3, 17, "price can't be read: d"),
            earlier_row(3, 2, NO_OBJECT),
            earlier_row(4, -1, NO_ARRAY),
            earlier_row(3, 8, NO_OBJECT, KUCOIN.raw_topic),
        ],
    )
    price = "price can't be read"
    assert stored_spans(owner) == [
        Span(TOPIC, 2, price, 3, 3, 3, to_bits([0, 1, 17])),
        Span(TOPIC, 2, NO_OBJECT, 3, 3, 1, to_bits([2])),
        Span(TOPIC, 2, NO_ARRAY, 4, 4, 1, THE_MESSAGE),
        Span(KUCOIN.raw_topic, 2, NO_OBJECT, 3, 3, 1, to_bits([8])),
    ]
    is_set = "SELECT get_bit(positions, 17), get_bit(positions, 16) FROM dead_letter_spans WHERE cause = %s"
    assert rows(owner, is_set, price) == [(1, 0)]
    # The migration copies written_at: all rows have the time of the one insert.
    times = (
        "SELECT written_at FROM dead_letters UNION SELECT written_at FROM dead_letter_spans"
        " UNION SELECT first_written_at FROM dead_letter_spans"
    )
    assert len(rows(owner, times)) == 1
