"""Write the exchanges' own candles to a real Postgres: repeated, and in any order."""

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg2.extensions import connection
from pyspark.sql import Row, SparkSession

from core.message import candles_message
from core.settings import Settings
from core.topics import EXCHANGE_CANDLES
from spark_jobs.exchange_candles.messages import candles
from spark_jobs.exchange_candles.sink import ExchangeCandlesSink
from spark_jobs.postgres.exchange_candle_partitions import drop_a_partition
from spark_jobs.tickers.letters.spans import THE_MESSAGE, to_bits
from tests.support.frames import microseconds, record, records
from tests.support.postgres import execute, rows

KEPT, HOUR = timedelta(days=90), timedelta(hours=1)


def midnight() -> datetime:
    """Return the start of the present day in UTC."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def nine_on_the_day_before(day: datetime) -> datetime:
    return day - timedelta(days=1) + timedelta(hours=9)


TODAY = midnight()
NINE = nine_on_the_day_before(TODAY)
CANDLES = (
    'SELECT symbol, "interval", start, open::text, close::text, trades'
    " FROM exchange_candles ORDER BY 1, 2, 3"
)


@pytest.fixture
def sink(database: Settings) -> Iterator[ExchangeCandlesSink]:
    with closing(ExchangeCandlesSink(database.database_url, KEPT)) as opened:
        yield opened


def kline(start: datetime, close: str = "2", trades: int = 7) -> list[Any]:
    prices = ("1", "3", "0.5", close)
    return [microseconds(start) // 1000, *prices, "10", 0, "20.5", trades, "0", "0", "0"]


def message(
    *klines: list[Any],
    interval: str = "1m",
    symbol: str = "BTCUSDT",
    received_at: datetime = TODAY,
    start: datetime = NINE,
    offset: int = 0,
    timestamp: datetime | None = None,
) -> Row:
    fields = {
        "exchange": "binance",
        "symbol": symbol,
        "interval": interval,
        "from": microseconds(start),
        "to": microseconds(start + timedelta(minutes=10)),
        "received_at": microseconds(received_at),
        "reason": None,
    }
    value = candles_message(fields, json.dumps(klines))
    return record(value, EXCHANGE_CANDLES, offset=offset, timestamp=timestamp)


def write(spark: SparkSession, sink: ExchangeCandlesSink, *batch: Row) -> dict[str, int]:
    sink.write(records(spark, *batch).transform(candles), 0)
    return dict(sink.counts(0))


def test_candles_of_each_interval_have_all_their_columns(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    january = datetime(TODAY.year, 1, 1, tzinfo=UTC)
    write(
        spark,
        sink,
        message(kline(NINE)),
        message(kline(NINE), interval="1h", offset=1),
        message(kline(january), interval="1d", offset=2),
    )
    query = (
        'SELECT "interval", start, open::text, high::text, low::text, close::text,'
        " base_volume::text, quote_volume::text, trades, received_at FROM exchange_candles ORDER BY 1"
    )
    digits = "0" * 17
    values = (
        *(f"1.0{digits}", f"3.0{digits}", f"0.5{digits}", f"2.0{digits}"),
        *(f"10.0{digits}", f"20.5{digits}", 7, TODAY),
    )
    assert rows(owner, query) == [
        ("1d", january, *values),
        ("1h", NINE, *values),
        ("1m", NINE, *values),
    ]
    spans = 'SELECT "interval", start, until, reason FROM exchange_candle_spans ORDER BY 1'
    assert rows(owner, spans) == [
        (interval, NINE, NINE + timedelta(minutes=10), None) for interval in ("1d", "1h", "1m")
    ]


def test_the_version_received_last_wins_in_any_order_and_however_often(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    running = message(kline(NINE, "2", 7), received_at=NINE + timedelta(seconds=30))
    finished = message(kline(NINE, "2.5", 9), received_at=NINE + timedelta(seconds=90))
    found = []
    for order in itertools.permutations([running, finished, running]):
        execute(owner, "TRUNCATE exchange_candles, kafka_progress")
        sink.postgres.progress()
        for offset, version in enumerate(order):
            write(spark, sink, Row(**{**version.asDict(), "offset": offset}))
        found.append(rows(owner, CANDLES))
    assert found == [
        [("BTCUSDT", "1m", NINE, "1.000000000000000000", "2.500000000000000000", 9)]
    ] * len(found)


def test_the_version_received_last_wins_within_one_batch(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    write(
        spark,
        sink,
        message(kline(NINE, "2.5"), received_at=NINE + timedelta(seconds=90)),
        message(kline(NINE, "2"), received_at=NINE + timedelta(seconds=30), offset=1),
    )
    assert [row[4] for row in rows(owner, CANDLES)] == ["2.500000000000000000"]


def test_a_finished_candle_replaces_a_running_one_from_an_extractor_whose_clock_was_ahead(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    twenty_past, end = NINE + timedelta(minutes=20), NINE + HOUR + timedelta(seconds=3)
    ahead = message(
        kline(NINE, "2"), interval="1h", received_at=twenty_past + 2 * HOUR, timestamp=twenty_past
    )
    finished = message(kline(NINE, "2.5"), interval="1h", received_at=end, timestamp=end)
    for order in itertools.permutations([ahead, finished, ahead]):
        execute(owner, "TRUNCATE exchange_candles, exchange_candle_spans, kafka_progress")
        sink.postgres.progress()
        for offset, version in enumerate(order):
            write(spark, sink, Row(**{**version.asDict(), "offset": offset}))
        assert rows(owner, "SELECT close, received_at FROM exchange_candles") == [
            (Decimal("2.5"), end)
        ]
        assert rows(owner, "SELECT received_at FROM exchange_candle_spans") == [(end,)]


def test_a_candle_that_kafka_had_before_its_end_is_not_served_whatever_its_extractors_clock(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    end, second = NINE + HOUR, timedelta(seconds=1)
    stamped = {"AHEAD": end - 120 * second, "RIGHT": end + 4 * second}
    batch = [
        message(
            kline(NINE),
            interval="1h",
            symbol=symbol,
            received_at=end + 3 * second,
            offset=offset,
            timestamp=timestamp,
        )
        for offset, (symbol, timestamp) in enumerate(stamped.items())
    ]
    write(spark, sink, *batch)
    served = (
        "SELECT symbol, merged.start FROM unnest(ARRAY['AHEAD', 'RIGHT']) AS symbol, merged_candles("
        "'binance', symbol, '1 hour', %(since)s, %(until)s,"
        " tstzmultirange(tstzrange(%(since)s, %(until)s)), true) AS merged"
    )
    with owner.cursor() as statements:
        statements.execute(served, {"since": NINE, "until": NINE + HOUR})
        assert statements.fetchall() == [("RIGHT", NINE)]


def test_a_candle_that_began_after_kafkas_time_is_kept_because_kafkas_clock_may_be_behind(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    second = timedelta(seconds=1)
    batch = message(kline(NINE), received_at=NINE + second, timestamp=NINE - second)
    assert write(spark, sink, batch) == {"rows": 1, "old": 0, "requests": 1, "dead": 0}
    assert rows(owner, "SELECT start, received_at FROM exchange_candles") == [(NINE, NINE - second)]


def test_a_batch_that_spark_repeats_changes_nothing(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    batch = [
        message(kline(NINE), kline(NINE + timedelta(minutes=1))),
        message([], kline(NINE), [], offset=1),
        record(b"?", EXCHANGE_CANDLES, offset=2),
    ]
    assert write(spark, sink, *batch) == {"rows": 6, "old": 0, "requests": 2, "dead": 3}
    assert write(spark, sink, *batch) == {}
    letters = 'SELECT reason, position FROM dead_letters ORDER BY "offset", position'
    assert rows(owner, letters) == [
        ("start is no number: null", 0),
        ("start is no number: null", 2),
        ("the message is no JSON object", -1),
    ]
    spans = "SELECT cause, letters, positions FROM dead_letter_spans ORDER BY first_offset"
    assert [(*row[:2], bytes(row[2])) for row in rows(owner, spans)] == [
        ("start is no number", 2, to_bits([0, 2])),
        ("the message is no JSON object", 1, THE_MESSAGE),
    ]


def test_what_is_too_old_is_skipped_and_dropped(
    spark: SparkSession, sink: ExchangeCandlesSink, owner: connection
) -> None:
    # Not the module's TODAY and NINE: the module may have been imported the day before.
    today = midnight()
    nine, old = nine_on_the_day_before(today), today - KEPT
    counts = write(
        spark,
        sink,
        message(kline(old), kline(old - timedelta(minutes=1)), kline(nine), received_at=today),
    )
    assert (counts["rows"], counts["old"]) == (2, 1)
    with owner.cursor() as statements:
        drop_a_partition(statements, today + timedelta(days=1, hours=1), KEPT)
    assert [row[2] for row in rows(owner, CANDLES)] == [nine]
    with owner.cursor() as statements:
        drop_a_partition(statements, today + timedelta(days=1, hours=1), KEPT)
    assert [row[2] for row in rows(owner, CANDLES)] == [nine]
