"""Write instruments and feed events to a real Postgres: repeated, and in any order."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from pyspark.sql import Row, SparkSession

from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from spark_jobs.postgres import transaction
from spark_jobs.postgres.small_topics import parse_small_topics
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from spark_jobs.postgres.transaction import SecondLiveJobError
from tests.support.dead_letters import places_of_letters, stored_spans
from tests.support.frames import record, records
from tests.support.postgres import SOON, contents, execute, rows
from tests.support.small_messages import SEEN_AT, feed_event, instrument

TABLES = ("instruments", "feed_events", "kafka_progress", "dead_letters")
EVENTS = 'SELECT endpoint, reason, "to"::text, frames FROM feed_events'
STATUS = "SELECT status FROM instruments"

LATER = SEEN_AT + 1_000_000


@pytest.fixture
def sink(database: Settings) -> Iterator[SmallTopicsSink]:
    with closing(SmallTopicsSink(database.database_url)) as opened:
        yield opened


def write(spark: SparkSession, sink: SmallTopicsSink, *batch: Row) -> None:
    sink.write(parse_small_topics(records(spark, *batch)), 0)


def instruments(*messages: dict[str, Any], first: int = 0) -> list[Row]:
    return [record(m, INSTRUMENTS, offset=n) for n, m in enumerate(messages, first)]


def events(*messages: dict[str, Any], first: int = 0) -> list[Row]:
    return [record(m, FEED_EVENTS, offset=n) for n, m in enumerate(messages, first)]


def forget(owner: connection, sink: SmallTopicsSink) -> None:
    """Empty the tables. Then read the progress again: the sink refuses progress behind its last commit."""
    execute(owner, "TRUNCATE instruments, feed_events, kafka_progress")
    sink.postgres.progress()


def test_messages_of_both_topics_have_all_their_columns(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        *instruments(instrument(symbol="币安人生USDT", base="币安人生"), first=4),
        *events(feed_event(), feed_event(kind="connection", endpoint=None, reason="", end=LATER)),
    )
    seen, later = "2025-03-28 07:37:28.467+00", "2025-03-28 07:37:29.467+00"
    assert rows(
        owner, "SELECT exchange, symbol, base, quote, status, seen_at::text FROM instruments"
    ) == [("binance", "币安人生USDT", "币安人生", "USDT", "TRADING", seen)]
    assert rows(
        owner,
        'SELECT exchange, endpoint, kind, reason, "from"::text, "to"::text, frames FROM feed_events'
        " ORDER BY kind",
    ) == [
        ("binance", None, "connection", "", seen, later, 0),
        (
            "binance",
            "stream.binance.com",
            "interruption",
            "silence: no ticker for 10 s",
            seen,
            None,
            0,
        ),
    ]
    assert sink.postgres.progress() == {(INSTRUMENTS, 0): 5, (FEED_EVENTS, 0): 2}


def test_the_same_batch_twice_changes_nothing(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    batch = [
        *instruments(instrument()),
        *events(feed_event(end=LATER, frames=5)),
        record(b"?", FEED_EVENTS, offset=1),
    ]
    write(spark, sink, *batch)
    before = contents(owner, TABLES)
    write(spark, sink, *batch)
    assert contents(owner, TABLES) == before
    assert [len(before[table]) for table in TABLES] == [1, 1, 2, 1]


def test_a_batch_that_reaches_below_the_progress_writes_only_what_is_new(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    first = instruments(instrument())
    write(spark, sink, *first)
    execute(owner, "DELETE FROM instruments")
    write(spark, sink, *first, *instruments(instrument(symbol="ETHUSDT"), first=1))
    assert rows(owner, "SELECT symbol FROM instruments") == [("ETHUSDT",)]


def in_one_batch_and_in_two(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection, batch: list[Row], query: str
) -> list[list[tuple[Any, ...]]]:
    """Return the query's results when two records come in one batch and when they come in two."""
    write(spark, sink, *batch)
    together = rows(owner, query)
    forget(owner, sink)
    for each in batch:
        write(spark, sink, each)
    apart = rows(owner, query)
    forget(owner, sink)
    return [together, apart]


@pytest.mark.parametrize("seen_at", [LATER, SEEN_AT - 1, SEEN_AT], ids=["later", "earlier", "same"])
def test_of_an_instruments_messages_the_higher_offset_wins_whatever_the_extractors_clock_was(
    seen_at: int, spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    batch = instruments(instrument(status="TRADING"), instrument(status="HALT", seen_at=seen_at))
    assert in_one_batch_and_in_two(spark, sink, owner, batch, STATUS) == [[("HALT",)]] * 2


def test_a_completed_event_stays_completed_in_any_order(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    opened = feed_event(endpoint=None, reason="closed", frames=7)
    completed = feed_event(reason="silence", end=LATER, frames=3)
    for order in itertools.permutations([opened, completed]):
        results = in_one_batch_and_in_two(spark, sink, owner, events(*order), EVENTS)
        merged = ("stream.binance.com", "silence", "2025-03-28 07:37:29.467+00", 7)
        assert results == [[merged]] * 2


def test_of_two_completions_the_later_end_wins_and_of_two_open_ones_the_higher_offset(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    ends = [feed_event(reason="a", end=LATER), feed_event(reason="b", end=LATER + 1)]
    for order in itertools.permutations(ends):
        results = in_one_batch_and_in_two(spark, sink, owner, events(*order), EVENTS)
        later = ("stream.binance.com", "b", "2025-03-28 07:37:29.467001+00", 0)
        assert results == [[later]] * 2
    batch = events(feed_event(reason="a", frames=2), feed_event(reason="b", frames=1))
    results = in_one_batch_and_in_two(spark, sink, owner, batch, EVENTS)
    assert results == [[("stream.binance.com", "b", None, 2)]] * 2


def test_events_that_differ_in_exchange_kind_or_start_are_different_events(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    batch = [
        feed_event(),
        feed_event(exchange="kucoin"),
        feed_event(kind="connection"),
        feed_event(start=LATER),
    ]
    write(spark, sink, *events(*batch))
    assert rows(owner, "SELECT count(*) FROM feed_events") == [(4,)]


def test_what_can_not_be_read_is_a_dead_letter_and_its_neighbours_arrive(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        *instruments(instrument()),
        record(b"\xff\x00 no JSON", INSTRUMENTS, offset=1),
        record(None, INSTRUMENTS, offset=2),
        record(b'{"exchange": "binance" }', FEED_EVENTS, offset=9),
    )
    letters = rows(
        owner,
        'SELECT topic, partition, "offset", position, reason, payload, received_at FROM dead_letters'
        ' ORDER BY "offset"',
    )
    assert [(*letter[:5], bytes(letter[5]), letter[6]) for letter in letters] == [
        (INSTRUMENTS, 0, 1, -1, "the message is no JSON object", b"\xff\x00 no JSON", None),
        (INSTRUMENTS, 0, 2, -1, "the message is no JSON object", b"", None),
        (FEED_EVENTS, 0, 9, -1, "kind is missing", b'{"exchange": "binance" }', None),
    ]
    assert rows(owner, "SELECT symbol FROM instruments") == [("BTCUSDT",)]
    assert sink.postgres.progress() == {(INSTRUMENTS, 0): 3, (FEED_EVENTS, 0): 10}


def test_topics_with_dead_letters_start_over_and_each_letter_counts_once(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    batch = [*instruments(instrument()), record(b"?", FEED_EVENTS), *events(feed_event(), first=1)]
    write(spark, sink, *batch)
    spans = stored_spans(owner)
    assert [(span.topic, span.letters) for span in spans] == [(FEED_EVENTS, 1)]
    assert sink.postgres.reset_topics_with_dead_letters() == [FEED_EVENTS]
    assert (stored_spans(owner), places_of_letters(owner)) == ([], [])
    assert sink.postgres.progress() == {(INSTRUMENTS, 0): 1}
    write(spark, sink, *batch)
    assert stored_spans(owner) == spans
    assert rows(owner, "SELECT count(*) FROM feed_events") == [(1,)]
    assert sink.postgres.progress() == {(INSTRUMENTS, 0): 1, (FEED_EVENTS, 0): 2}


def test_a_batch_that_fails_leaves_nothing(
    spark: SparkSession, sink: SmallTopicsSink, owner: connection
) -> None:
    execute(owner, "ALTER TABLE feed_events ADD CONSTRAINT refuse CHECK (frames <> 2)")
    with pytest.raises(psycopg2.errors.CheckViolation):
        write(spark, sink, *instruments(instrument()), *events(feed_event(frames=2)))
    assert contents(owner, TABLES) == {table: [] for table in TABLES}
    write(spark, sink, *instruments(instrument()), *events(feed_event(frames=3)))
    assert rows(owner, "SELECT frames FROM feed_events") == [(3,)]


def test_it_does_not_wait_for_the_transaction_of_the_raw_topics(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    execute(owner, f"ALTER DATABASE {owner.info.dbname} SET lock_timeout = '5s'")
    execute(owner, "INSERT INTO kafka_progress VALUES ('binance_raw_data', 0, 5)")
    with (
        closing(psycopg2.connect(database.database_url)) as other,
        closing(SmallTopicsSink(database.database_url)) as sink,
    ):
        assert rows(other, "SELECT next_offset FROM kafka_progress FOR UPDATE") == [(5,)]
        write(spark, sink, *instruments(instrument()))
        assert rows(owner, STATUS) == [("TRADING",)]


def test_a_second_live_job_is_refused(
    sink: SmallTopicsSink, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    with pytest.raises(SecondLiveJobError):
        SmallTopicsSink(database.database_url)


def test_the_reader_reads_both_tables(
    spark: SparkSession, sink: SmallTopicsSink, database: Settings
) -> None:
    write(spark, sink, *instruments(instrument()), *events(feed_event()))
    with closing(psycopg2.connect(database.reader_database_url)) as reader:
        assert rows(reader, STATUS) == [("TRADING",)]
        assert rows(reader, "SELECT kind FROM feed_events") == [("interruption",)]
