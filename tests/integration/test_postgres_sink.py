"""Write batches to a real Postgres: repeated, out of order, and with bad messages among good ones."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.kucoin import KUCOIN
from spark_jobs.postgres import transaction
from spark_jobs.postgres.connection import connect
from spark_jobs.postgres.kafka_progress import ProgressError
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.transaction import SecondLiveJobError
from spark_jobs.tickers.messages import messages, minutes
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    ETHUSDT,
    RECEIVED_AT,
    item,
    record,
    records,
    reduced,
)
from tests.support.postgres import SOON, contents, execute, rows
from tests.support.queries import price_sink, write

TABLES = ("live_prices", "kafka_progress", "dead_letters", "batches")


def prices(owner: connection) -> dict[str, Decimal]:
    return dict(rows(owner, "SELECT symbol, price FROM live_prices"))


def test_numbers_in_postgres_are_exactly_those_of_the_exchange(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    written = ["0.00000001", "0.000000000000000001", "99999999999999999999.999999999999999999"]
    write(spark, sink, record([item(BTCUSDT, s=text, c=text) for text in written]))
    found = rows(owner, "SELECT symbol, price::text FROM live_prices ORDER BY price")
    assert [(s, Decimal(p)) for s, p in found] == [
        (text, Decimal(text)) for text in sorted(written, key=Decimal)
    ]


def test_a_ticker_of_each_exchange_has_all_its_columns(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        record([item(BTCUSDT)], partition=2, offset=5),
        record([item(CRO_USDT)], KUCOIN.raw_topic, endpoint=None),
    )
    columns = (
        "exchange, symbol, bid::float, open_24h::float, base_volume_24h::float, traded_at::text,"
        ' event_time::text, sequence, received_at::text, endpoint, partition, "offset", position, batch_id'
    )
    received_at = "2025-03-28 07:37:28.501233+00"
    assert rows(owner, f"SELECT {columns} FROM live_prices ORDER BY 1") == [
        (
            *("binance", "BTCUSDT", None, 87304.35, 20230.79019),
            *(None, "2025-03-28 07:37:28.467+00", 1743147448467, received_at),
            *("stream.binance.com", 2, 5, 0, 1),
        ),
        (
            *("kucoin", "CRO-USDT", 0.10596, None, None),
            *("2025-03-28 07:33:18.992+00", received_at, 915875484, received_at),
            *(None, 0, 0, 0, 1),
        ),
    ]


def test_the_same_batch_twice_changes_nothing(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    batch = [record([item(BTCUSDT), 7]), record([item(CRO_USDT)], KUCOIN.raw_topic, offset=3)]
    write(spark, sink, *batch)
    before = contents(owner, TABLES)
    write(spark, sink, *batch)
    assert contents(owner, TABLES) == before
    assert len(before["live_prices"]) == 2


def test_of_a_batch_that_reaches_below_the_progress_only_what_is_new_counts(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    first = record([item(BTCUSDT)], offset=0)
    write(spark, sink, first)
    write(spark, sink, first, record([item(ETHUSDT), 7], offset=1))
    found = rows(owner, "SELECT rows_written, rows_refused, dead_letters, offsets FROM batches")
    assert found == [
        (1, 0, 0, {"binance_raw_data": {"0": 1}}),
        (1, 0, 1, {"binance_raw_data": {"0": 2}}),
    ]


def test_a_batch_that_the_progress_was_moved_into_is_refused_and_its_rest_counts_once(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    batch = [record([item(BTCUSDT)], offset=n) for n in range(3)]
    write(spark, sink, batch[0])
    # Read with one task, so that one row holds all three messages.
    read_at_once = records(spark, *batch).coalesce(1).transform(messages).transform(minutes)
    with pytest.raises(ProgressError, match="next_offset 1 for binance_raw_data/0"):
        sink.write(read_at_once, 0)
    assert len(rows(owner, "SELECT FROM batches")) == 1
    write(spark, sink, *batch[1:])
    assert sink.postgres.progress() == {("binance_raw_data", 0): 3}
    assert rows(owner, "SELECT rows_written + rows_refused FROM batches") == [(1,), (1,)]


def test_an_older_ticker_in_a_later_batch_does_not_put_the_old_price_back(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(spark, sink, record([item(BTCUSDT, c="2", E=BTCUSDT["E"] + 1)], offset=0))
    write(spark, sink, record([item(BTCUSDT, c="1"), item(ETHUSDT)], offset=1))
    assert prices(owner) == {"BTCUSDT": Decimal(2), "ETHUSDT": Decimal("1916.44")}
    assert rows(owner, "SELECT rows_written, rows_refused FROM batches") == [(1, 0), (1, 1)]


def test_a_lower_sequence_wins_in_a_later_minute(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    later = RECEIVED_AT + 60_000_000
    write(spark, sink, record([item(CRO_USDT, price="1", sequence="9")], KUCOIN.raw_topic))
    restarted = item(CRO_USDT, later, price="2", sequence="1")
    write(spark, sink, record([restarted], KUCOIN.raw_topic, offset=1))
    assert prices(owner) == {"CRO-USDT": Decimal(2)}


def test_a_ticker_from_the_future_does_not_hold_the_price(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    stamp = datetime.fromtimestamp(RECEIVED_AT / 1e6, UTC)
    next_year = item(BTCUSDT, RECEIVED_AT + 365 * 86400 * 1_000_000, c="1")
    write(spark, sink, record([next_year], timestamp=stamp))
    write(spark, sink, record([item(BTCUSDT, c="2")], offset=1, timestamp=stamp))
    assert prices(owner) == {"BTCUSDT": Decimal(2)}
    assert len(rows(owner, "SELECT FROM dead_letters")) == 1


def test_bad_messages_become_dead_letters_and_their_neighbours_arrive(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        record(b"\xff\x00 no JSON"),
        record([item(BTCUSDT), "bad", item(ETHUSDT)], offset=1),
        record(
            [{"s": "币USDT", "c": "abc", "E": 1743147448467, "received_at": RECEIVED_AT}], offset=2
        ),
    )
    assert set(prices(owner)) == {"BTCUSDT", "ETHUSDT"}
    found = rows(
        owner,
        'SELECT topic, partition, "offset", position, reason, payload, received_at::text'
        ' FROM dead_letters ORDER BY "offset"',
    )
    topic, received_at = "binance_raw_data", "2025-03-28 07:37:28.501233+00"
    bad_price = f'{{"s": "币USDT", "c": "abc", "E": 1743147448467, "received_at": {RECEIVED_AT}}}'
    assert [(*row[:5], bytes(row[5]), row[6]) for row in found] == [
        (topic, 0, 0, -1, "the message is no JSON array", b"\xff\x00 no JSON", None),
        (topic, 0, 1, 1, "the item is no JSON object", b'"bad"', None),
        (topic, 0, 2, 0, "price can't be read: abc", bad_price.encode(), received_at),
    ]


def test_the_progress_is_the_offset_after_the_last_of_each_partition(
    spark: SparkSession, sink: PriceSink
) -> None:
    write(
        spark,
        sink,
        record([item(BTCUSDT)], offset=7),
        record([item(BTCUSDT)], offset=8),
        record(b"?", partition=3, offset=2),
        record([item(CRO_USDT)], KUCOIN.raw_topic, partition=1, offset=0),
    )
    assert sink.postgres.progress() == {
        ("binance_raw_data", 0): 9,
        ("binance_raw_data", 3): 3,
        ("kucoin_raw_data", 1): 1,
    }


def test_a_symbol_in_two_partitions_has_its_newest_price_and_both_move_on(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        record([item(BTCUSDT, c="2", E=BTCUSDT["E"] + 1)], partition=1, offset=1),
        record([item(BTCUSDT, c="1")], partition=2, offset=7),
    )
    assert prices(owner) == {"BTCUSDT": Decimal(2)}
    assert sink.postgres.progress() == {("binance_raw_data", 1): 2, ("binance_raw_data", 2): 8}


def test_a_commit_notifies_listeners_of_its_batch(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    execute(owner, "LISTEN live_prices")
    write(spark, sink, record([item(BTCUSDT)]))
    execute(owner, "SELECT")
    assert [(n.channel, n.payload) for n in owner.notifies] == [("live_prices", "1")]


def test_a_batch_that_fails_leaves_nothing(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    execute(owner, "ALTER TABLE batches ADD CONSTRAINT refuse CHECK (rows_written <> 2)")
    with pytest.raises(psycopg2.errors.CheckViolation):
        write(spark, sink, record([item(BTCUSDT), item(ETHUSDT), 7]))
    assert contents(owner, TABLES) == {table: [] for table in TABLES}
    write(spark, sink, record([item(BTCUSDT)]))
    assert set(prices(owner)) == {"BTCUSDT"}


def test_a_batch_that_takes_long_to_compute_holds_no_transaction_open(
    spark: SparkSession,
    database: Settings,
    owner: connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Compute a batch before its transaction: Postgres ends sessions with an idle transaction."""
    name = owner.info.dbname
    execute(owner, f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '3s'")

    def late(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        time.sleep(4)
        yield from batches

    batch = reduced(spark, record([item(BTCUSDT)]))
    with price_sink(database) as sink:
        sink.write(batch.mapInArrow(late, batch.schema), 0)
    assert set(prices(owner)) == {"BTCUSDT"}
    assert "writing to Postgres" not in caplog.text


def test_after_stop_nothing_is_written(
    spark: SparkSession, sink: PriceSink, owner: connection
) -> None:
    sink.stop()
    write(spark, sink, record([item(BTCUSDT)]))
    assert prices(owner) == {}


def test_a_second_live_job_is_refused(
    sink: PriceSink, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    with pytest.raises(SecondLiveJobError):
        PriceSink(database.database_url)


def test_postgres_notices_within_half_a_minute_that_a_job_has_vanished(database: Settings) -> None:
    with closing(connect(database.database_url, "test")) as opened:
        found = [
            rows(opened, f"SHOW tcp_keepalives_{name}") for name in ("idle", "interval", "count")
        ]
    assert found == [[("10",)], [("5",)], [("3",)]]


def test_the_reader_reads_and_can_not_write(
    spark: SparkSession, sink: PriceSink, database: Settings
) -> None:
    write(spark, sink, record([item(BTCUSDT)]))
    with closing(psycopg2.connect(database.reader_database_url)) as reader:
        assert rows(reader, "SELECT symbol FROM live_prices") == [("BTCUSDT",)]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            rows(reader, "DELETE FROM live_prices RETURNING 1")
        reader.rollback()
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(reader, "SET TRANSACTION READ WRITE; DELETE FROM live_prices RETURNING 1")
