"""Rebuild the tables from Kafka and `raw/`: they equal the former ones and are replaced in one step."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import psycopg2
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.reading_rules import TABLE_PROPERTY
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, INSTRUMENTS
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from server.state.listener import State, look, read
from server.state.listener import connect as server_connection
from spark_jobs import live_prices
from spark_jobs.audit import audit
from spark_jobs.history import rebuilt_tickers
from spark_jobs.history.history import HistoryError
from spark_jobs.history.rebuilt_tickers import rebuild_tickers
from spark_jobs.kafka_source.topic_ids import TopicError, topic_ids
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.schema import EARLIER, FORMER
from spark_jobs.postgres import transaction
from spark_jobs.postgres.transaction import SecondLiveJobError
from spark_jobs.postgres.upkeep import Upkeep
from spark_jobs.rebuild import rebuild, unchanged_rows, unchanged_tickers
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import all_ends, delete_records, expire_all, produce
from tests.support.lake_queries import (
    accept_topics,
    copy,
    delete,
    keys,
    run_all_jobs,
    run_price_history,
    run_raw_archive,
    wait_for_time_in_the_hour,
)
from tests.support.own_kafka import OwnKafka
from tests.support.postgres import SOON, execute, rows
from tests.support.queries import price_sink, run_live_prices

MINUTE = 60_000_000
# All columns of live_prices except batch_id.
PRICES = """
SELECT (to_jsonb(live_prices) - 'batch_id')::text FROM live_prices ORDER BY exchange, symbol
"""
CANDLES = "SELECT * FROM candles_1m ORDER BY exchange, symbol, minute"
LETTERS = 'SELECT * FROM dead_letters ORDER BY topic, partition, "offset", position'
SPANS = "SELECT * FROM dead_letter_spans ORDER BY topic, partition, first_offset, cause"
WRITTEN = """
SELECT 'letter', "offset", written_at FROM dead_letters
UNION ALL SELECT 'span', first_offset, written_at FROM dead_letter_spans
UNION ALL SELECT 'span', first_offset, first_written_at FROM dead_letter_spans
ORDER BY 2, 1, 3
"""
PROGRESS = "SELECT topic, partition, next_offset FROM kafka_progress ORDER BY topic, partition"
LAST_BATCH = "SELECT max(id) FROM batches"

REFUSE_BATCHES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON batches EXECUTE FUNCTION refuse()
"""

DAYS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'candles_1m'::regclass"
SORTED_DAYS = """
SELECT count(*) FROM pg_inherits JOIN pg_index ON indrelid = inhrelid
WHERE inhparent = 'candles_1m'::regclass AND indisclustered
"""


def send(lake: Settings, first: int, count: int) -> None:
    """Send messages of both exchanges; each of Binance's has a price of zero and an unreadable item."""
    begin = time.time_ns() // 1000 // MINUTE * MINUTE - 10 * MINUTE
    for number in range(first, first + count):
        at = begin + number * MINUTE // 3
        items: list[Any] = [
            item(BTCUSDT, at, E=at // 1000, c=f"{number}.5", s=f"S{number % 2}"),
            item(BTCUSDT, at, E=at // 1000, c="0"),
            {"unreadable": str(number), "received_at": at},
        ]
        produce(lake, BINANCE.raw_topic, items, partition=number % 2)
        cro = item(CRO_USDT, at, sequence=str(number), price=f"{number}.25")
        produce(lake, KUCOIN.raw_topic, [cro, cro], partition=3)


def tables(owner: connection) -> dict[str, list[tuple[Any, ...]]]:
    return {query: rows(owner, query) for query in (PRICES, CANDLES, LETTERS, SPANS, PROGRESS)}


def live_and_archive(spark: SparkSession, lake: Settings, folder: Path) -> None:
    run_live_prices(spark, lake, folder / "live")
    run_raw_archive(spark, lake, folder / "raw")


def state_of(server: connection) -> State:
    """Return the state that a server reads now."""
    with server, server.cursor() as statements:
        return look(statements)


def is_cleaned_up(owner: connection) -> bool:
    """Return whether the tables of a rebuild are gone."""
    return rows(owner, "SELECT to_regnamespace('rebuild') IS NULL") == [(True,)]


def test_tables_are_the_same_after_a_rebuild_out_of_raw_and_kafka(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    execute(owner, "INSERT INTO kafka_progress VALUES (%s, 0, 5)", INSTRUMENTS)
    send(own_lake, 0, 8)
    live_and_archive(spark, own_lake, tmp_path / "first")
    half = all_ends(own_lake)
    send(own_lake, 8, 8)
    live_and_archive(spark, own_lake, tmp_path / "second")
    # The live job has not read these messages yet.
    send(own_lake, 16, 2)
    delete_records(own_lake, half)
    for (day,) in rows(owner, DAYS):
        execute(owner, f"CLUSTER {day} USING {day}_pkey")
    before, batch = tables(owner), rows(owner, LAST_BATCH)
    assert (len(before[PRICES]), len(before[LETTERS]), len(before[PROGRESS])) == (3, 16, 4)

    for statement in (
        "UPDATE live_prices SET price = 7",
        "DELETE FROM candles_1m WHERE symbol = 'S0'",
        "UPDATE candles_1m SET updates = updates + 1",
        "DELETE FROM dead_letter_spans WHERE partition = 1",
    ):
        execute(owner, statement)
    assert [*unchanged_rows(rebuild(spark, own_lake, messages_per_step=5))] == []

    after = tables(owner)
    # Missing spans are written again, with other times of writing, which are not compared.
    spans = [[row[:7] for row in each.pop(SPANS)] for each in (before, after)]
    assert spans[0] == spans[1]
    assert after == before
    assert rows(owner, LAST_BATCH) > batch
    changed = "SELECT count(*) FROM live_prices WHERE batch_id = (SELECT max(id) FROM batches)"
    assert rows(owner, changed) == [(3,)]
    assert is_cleaned_up(owner)
    assert rows(owner, SORTED_DAYS) == [(0,)]

    run_live_prices(spark, own_lake, tmp_path / "third")
    last = rows(owner, "SELECT max(price) FROM live_prices WHERE exchange = 'binance'")
    assert str(last[0][0]).startswith("17.5")


def test_rows_that_can_not_be_rebuilt_stay(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    wait_for_time_in_the_hour()
    send(own_lake, 0, 4)
    # The extractor's clock is 14 minutes ahead of Kafka's, and the exchange's 18 minutes.
    ahead = time.time_ns() // 1000 + 14 * MINUTE
    event_time = (ahead + 4 * MINUTE) // 1000
    produce(own_lake, BINANCE.raw_topic, [item(BTCUSDT, ahead, E=event_time, s="AHEAD")])
    live_and_archive(spark, own_lake, tmp_path / "first")
    assert rows(owner, "SELECT symbol FROM candles_1m WHERE minute > now() + '15 min'") == [
        ("AHEAD",)
    ]
    produce(own_lake, KUCOIN.raw_topic, [item({**CRO_USDT, "subject": "NEW-USDT"})], partition=3)
    live_and_archive(spark, own_lake, tmp_path / "second")
    expire_all(own_lake)
    for key in keys(own_lake, "raw/")[:2]:
        delete(own_lake, key)
    before = tables(owner)
    lines = [*unchanged_rows(rebuild(spark, own_lake))]
    assert tables(owner) == before
    assert [line.partition(":")[0] for line in lines] == ["binance", "kucoin"]


def test_candles_have_the_messages_that_only_the_rebuild_reads(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    """The live job's next offset has expired, so it resumes after all that the rebuild has read."""
    send(own_lake, 0, 4)
    run_live_prices(spark, own_lake, tmp_path / "live")
    send(own_lake, 4, 2)
    expire_all(own_lake)
    send(own_lake, 6, 4)
    for _ in range(2):
        rebuild(spark, own_lake)
        run_live_prices(spark, own_lake, tmp_path / "live")
        updates = "SELECT symbol, sum(updates)::int FROM candles_1m GROUP BY 1 ORDER BY 1"
        assert rows(owner, updates) == [("CRO-USDT", 16), ("S0", 4), ("S1", 4)]
        assert rows(owner, "SELECT max(close) FROM candles_1m") == [(Decimal("9.5"),)]


def test_rows_of_a_deleted_topic_stay(
    spark: SparkSession,
    own_lake: Settings,
    owner: connection,
    broker: OwnKafka,
    tmp_path: Path,
) -> None:
    send(own_lake, 0, 4)
    at = time.time_ns() // 1000 - 10 * MINUTE
    produce(own_lake, BINANCE.raw_topic, [item(BTCUSDT, at, E=at // 1000, s="GONE")])
    live_and_archive(spark, own_lake, tmp_path / "former")
    broker.delete(BINANCE.raw_topic)
    broker.create_topics()
    Archive(spark, lake_root(own_lake)).accept(topic_ids(own_lake, EXCHANGE_OF_TOPIC))
    execute(owner, "DELETE FROM kafka_progress WHERE topic = %s", BINANCE.raw_topic)
    send(own_lake, 4, 4)
    live_and_archive(spark, own_lake, tmp_path / "new")
    before = tables(owner)
    assert "GONE" in str(before[PRICES])
    # The new topic's items were received before the topic was created.
    execute(owner, "UPDATE live_prices SET price = 7 WHERE symbol IN ('S0', 'S1')")
    rebuild(spark, own_lake)
    after = tables(owner)
    assert [(query, after[query]) for query in (PRICES, CANDLES, PROGRESS)] == [
        (query, before[query]) for query in (PRICES, CANDLES, PROGRESS)
    ]
    prices, candles, *_ = audit(spark, own_lake)
    assert (prices.differ, candles.differ) == (0, 0)


def test_rows_of_a_deleted_topic_stay_without_its_objects_in_raw(
    spark: SparkSession,
    own_lake: Settings,
    owner: connection,
    broker: OwnKafka,
    tmp_path: Path,
) -> None:
    earlier = time.time_ns() // 1000 - 60 * MINUTE
    of_former = [item(BTCUSDT, earlier, E=earlier // 1000, s=symbol) for symbol in ("GONE", "S0")]
    produce(own_lake, BINANCE.raw_topic, of_former)
    run_all_jobs(spark, own_lake, tmp_path / "former")
    broker.delete(BINANCE.raw_topic)
    broker.create_topics()
    assert accept_topics(spark, own_lake) == [[BINANCE.raw_topic]] * 3
    for key in keys(own_lake, f"raw/topic={BINANCE.raw_topic}/"):
        delete(own_lake, key)
    send(own_lake, 0, 4)
    run_all_jobs(spark, own_lake, tmp_path / "new")
    mark_as_of_earlier_rules(spark, own_lake)
    before, (in_lake, _sizes) = tables(owner), tickers_of(spark, own_lake)
    assert "GONE" in str(before[PRICES]) and "GONE" in str(in_lake)
    assert len(rows(owner, "SELECT DISTINCT minute FROM candles_1m WHERE symbol = 'S0'")) == 2

    execute(owner, "UPDATE live_prices SET price = 7 WHERE symbol IN ('S0', 'S1')")
    rebuild(spark, own_lake)
    rebuilt = rebuild_tickers(spark, own_lake, datetime.now(UTC))

    assert tables(owner) == before
    assert tickers_of(spark, own_lake)[0] == in_lake
    assert rebuilt is not None
    assert [*unchanged_tickers(rebuilt)] == [
        f"{BINANCE.raw_topic}: rows of the deleted topic were kept unchanged"
    ]
    properties = opened(spark, own_lake).metadata().configuration
    assert (properties[EARLIER], properties[FORMER]) == ("{}", f'["{BINANCE.raw_topic}"]')
    assert {each.table: each.differ for each in audit(spark, own_lake)} == dict.fromkeys(
        ("live_prices", "candles_1m", "dead_letters", "dead_letter_spans", "raw/", "tickers/"), 0
    )


def mark_as_of_earlier_rules(spark: SparkSession, lake: Settings) -> None:
    """Mark the rows of `tickers/` as those of the first reading rules."""
    opened(spark, lake).alter.set_table_properties({TABLE_PROPERTY: "1"}, raise_if_not_exists=False)


def test_dead_letters_that_are_written_again_are_dated_by_kafkas_clock(
    spark: SparkSession,
    own_lake: Settings,
    owner: connection,
    broker: OwnKafka,
    tmp_path: Path,
) -> None:
    start = datetime.now(UTC).replace(microsecond=0)
    earlier = start - timedelta(days=40)
    received_at = round(earlier.timestamp() * 1e6)
    letters = [{"unreadable": "?", "received_at": received_at}, {"nobody": "received it"}]
    produce_at(broker, BINANCE.raw_topic, earlier, letters)
    now = time.time_ns() // 1000
    ticker, late = item(BTCUSDT, now), {"unreadable": "?", "received_at": now}
    produce(own_lake, BINANCE.raw_topic, [ticker], [late])
    run_live_prices(spark, own_lake, tmp_path)
    live = rows(owner, LETTERS), rows(owner, SPANS)
    for table in ("dead_letters", "dead_letter_spans"):
        execute(owner, f"DELETE FROM {table}")

    rebuild(spark, own_lake, messages_per_step=1)

    assert [row[:7] for row in rows(owner, SPANS)] == [row[:7] for row in live[1]]
    assert len(rows(owner, LETTERS)) == len(live[0]) == 3
    written = rows(owner, WRITTEN)
    # The two letters of the first message have different causes, so each has its own span. WRITTEN lists both
    # times of a span.
    assert written[:6] == [("letter", 0, earlier)] * 2 + [("span", 0, earlier)] * 4
    assert [row[:2] for row in written[6:]] == [("letter", 2), ("span", 2), ("span", 2)]
    assert all(start <= row[2] <= datetime.now(UTC) for row in written[6:])


def produce_at(broker: OwnKafka, topic: str, at: datetime, message: Any) -> None:
    """Send a message that Kafka stamps with a past time."""
    broker.configure(topic, "retention.ms", "-1")
    broker.configure(topic, "message.timestamp.type", "CreateTime")
    producer = Producer({"bootstrap.servers": broker.settings.kafka_bootstrap_servers})
    milliseconds = round(at.timestamp() * 1000)
    producer.produce(topic, json.dumps(message).encode(), partition=0, timestamp=milliseconds)
    assert producer.flush(60) == 0
    broker.configure(topic, "message.timestamp.type", "LogAppendTime")


def test_nothing_changes_where_raw_lacks_records_that_it_names(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    wait_for_time_in_the_hour()
    for number in range(2):
        send(own_lake, 4 * number, 4)
        live_and_archive(spark, own_lake, tmp_path / str(number))
    expire_all(own_lake)
    before = tables(owner)
    # A clock that went back can split a batch over two objects. Keep one of them, and lose the other.
    first, second = (key for key in keys(own_lake, "raw/") if BINANCE.raw_topic in key)
    copy(own_lake, second, second.replace("/0.2-3_1.2-3.", "/0.0-3_1.0-3."))
    delete(own_lake, first)
    delete(own_lake, second)
    with pytest.raises(HistoryError, match=f"raw/ has 2 of the 4 records of {BINANCE.raw_topic}/0"):
        rebuild(spark, own_lake)
    assert tables(owner) == before


def test_a_failure_in_the_last_step_changes_nothing_and_the_next_rebuild_begins_anew(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    send(own_lake, 0, 4)
    run_live_prices(spark, own_lake, tmp_path)
    before = tables(owner)
    execute(owner, REFUSE_BATCHES)
    with pytest.raises(psycopg2.errors.RaiseException, match="refused"):
        rebuild(spark, own_lake)
    assert tables(owner) == before
    assert not is_cleaned_up(owner)
    execute(owner, "DROP TRIGGER refuse ON batches")
    with closing(server_connection(own_lake.reader_database_url)) as server:
        known = state_of(server)
        rebuild(spark, own_lake)
        assert state_of(server).epoch == known.epoch
    assert tables(owner) == before
    assert is_cleaned_up(owner)


def test_the_live_job_drops_the_tables_of_a_rebuild_that_ended_early(
    spark: SparkSession,
    own_lake: Settings,
    owner: connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(own_lake, 0, 4)
    run_live_prices(spark, own_lake, tmp_path / "first")
    before = tables(owner)
    execute(owner, REFUSE_BATCHES)
    with pytest.raises(psycopg2.errors.RaiseException, match="refused"):
        rebuild(spark, own_lake)
    assert not is_cleaned_up(owner)

    # Nothing would end this thread.
    monkeypatch.setattr(Upkeep, "start", lambda upkeep: None)
    live_prices.start(spark, replace(own_lake, checkpoint_dir=str(tmp_path / "second")))
    for query in spark.streams.active:
        query.stop()
    assert is_cleaned_up(owner)
    assert tables(owner) == before


def test_servers_read_all_prices_again_where_one_is_gone(
    spark: SparkSession, own_lake: Settings, owner: connection, tmp_path: Path
) -> None:
    send(own_lake, 0, 2)
    run_live_prices(spark, own_lake, tmp_path)
    execute(
        owner,
        'INSERT INTO live_prices SELECT (jsonb_populate_record(p, \'{"symbol": "WRONG"}\')).*'
        " FROM live_prices AS p WHERE symbol = 'S0'",
    )
    with (
        closing(server_connection(own_lake.reader_database_url)) as server,
        closing(server_connection(own_lake.reader_database_url)) as late,
    ):
        known = state_of(server)
        with late, late.cursor() as statements:
            # This reader's snapshot is older than the rebuild's commit, but its look comes later.
            statements.execute("SELECT 1")
            rebuild(spark, own_lake)
            assert look(statements).epoch == known.epoch
        with server, server.cursor() as statements:
            found = read(statements, look(statements), known, set())
    assert found.previous is None
    assert sorted(price.symbol for price in found.prices) == ["CRO-USDT", "S0", "S1"]


def test_a_rebuild_is_refused_beside_a_live_job_and_for_a_topic_that_was_created_again(
    spark: SparkSession, own_lake: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    with price_sink(own_lake), pytest.raises(SecondLiveJobError, match="make stop-jobs"):
        rebuild(spark, own_lake)
    former = "INSERT INTO kafka_progress VALUES (%s, 0, 1, 'ckVJ5ZWORGWAxTTLoYGQ2A')"
    execute(owner, former, BINANCE.raw_topic)
    with pytest.raises(TopicError, match="created again"):
        rebuild(spark, own_lake)
    assert is_cleaned_up(owner)


def opened(spark: SparkSession, lake: Settings) -> deltalake.DeltaTable:
    """Return the newest version of the table `tickers/`."""
    path = f"{lake_root(lake)}/tickers"
    return deltalake.DeltaTable(path, storage_options=delta_options(spark, path))


def tickers_of(spark: SparkSession, lake: Settings) -> tuple[list[tuple[Any, ...]], list[int]]:
    """Return the rows of the table `tickers/`, sorted by origin, and the sizes of its files."""
    table = opened(spark, lake)
    columns = ["topic", "partition", "offset", "position", "exchange", "symbol", "price"]
    found = table.to_pyarrow_table(columns=[*columns, "received_at"]).to_pydict()
    sizes: list[Any] = pa.table(table.get_add_actions(flatten=True))["size_bytes"].to_pylist()
    return sorted(zip(*found.values(), strict=True)), sizes


def test_rows_are_replaced_where_the_clock_was_ahead_at_the_first_message_that_is_left(
    spark: SparkSession, own_lake: Settings, tmp_path: Path
) -> None:
    now = time.time_ns() // 1000
    # The clock is set right after the second message.
    for received_at in (now - MINUTE, now + 10 * MINUTE, now, now + MINUTE // 60):
        items = [item(BTCUSDT, received_at, s=symbol) for symbol in ("S0", "S1")]
        produce(own_lake, BINANCE.raw_topic, items)
    run_price_history(spark, own_lake, tmp_path)
    before, _sizes = tickers_of(spark, own_lake)
    delete_records(own_lake, {(BINANCE.raw_topic, 0): 1})

    rebuilt = rebuild_tickers(spark, own_lake, datetime.now(UTC))

    assert rebuilt is not None
    assert [*unchanged_tickers(rebuilt)] == [
        f"{BINANCE.raw_topic}/0: rows below offset 1 were kept unchanged"
    ]
    after, _sizes = tickers_of(spark, own_lake)
    assert len(after) == len({row[:4] for row in after}) == 8
    assert after == before


@contextmanager
def largest_results(spark: SparkSession, count: int) -> Iterator[None]:
    """Let Spark refuse a job whose results would take more than `count` bytes at the driver."""
    # Spark reads the configuration of its context at the start of each set of tasks.
    configuration = spark.sparkContext._jsc.sc().conf()  # noqa: SLF001
    name = "spark.driver.maxResultSize"
    former = configuration.get(name, "1g")
    configuration.set(name, f"{count}b")
    try:
        yield
    finally:
        configuration.set(name, former)


def test_the_rows_that_a_rebuild_keeps_need_not_fit_into_the_driver(
    spark: SparkSession, own_lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, numbers = time.time_ns() // 1000, random.Random(1)
    # One file per day, sorted by symbol, so the rows of expired messages are spread over each whole file.
    for _ in range(3):
        items = [
            item(
                BTCUSDT,
                now - day * 24 * 60 * MINUTE,
                s=f"S{number}",
                **{name: f"{numbers.randrange(1, 10**12)}e-6" for name in "cvq"},
            )
            for day in range(8)
            for number in range(400)
        ]
        produce(own_lake, BINANCE.raw_topic, items)
    run_price_history(spark, own_lake, tmp_path)
    before, sizes = tickers_of(spark, own_lake)
    assert (len(before), len(sizes)) == (9600, 8)
    delete_records(own_lake, {(BINANCE.raw_topic, 0): 2})

    monkeypatch.setattr(rebuilt_tickers, "BYTES_PER_TASK", max(sizes))
    with largest_results(spark, sum(sizes) // 2):
        rebuilt = rebuild_tickers(spark, own_lake, datetime.now(UTC))

    assert rebuilt is not None and rebuilt.begins[BINANCE.raw_topic, 0] == 2
    after, sizes = tickers_of(spark, own_lake)
    assert after == before
    assert len({row[:4] for row in after}) == len(after)
    assert len(sizes) == 16
