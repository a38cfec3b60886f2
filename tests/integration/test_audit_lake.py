"""Audit the bucket and a time span: correct data are not reported, each fault is counted."""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from psycopg2.extensions import connection
from pyarrow import parquet
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.services import object_store
from infra.services.object_store import storage_options
from spark_jobs import audit as audit_job
from spark_jobs.audit import audit
from spark_jobs.check.fresh_tables import fresh_candles
from spark_jobs.check.verdicts import Verdict, report
from spark_jobs.kafka_source.time_span import TimeSpan
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import expire_all, produce
from tests.support.lake_queries import (
    copy,
    delete,
    in_another_hour,
    keys,
    put_into_landing,
    run_price_history,
    run_raw_archive,
    wait_for_time_in_the_hour,
)
from tests.support.postgres import execute
from tests.support.queries import run_live_prices

pytestmark = pytest.mark.fault

MINUTE = 60_000_000
MINUTES = range(5)
TABLES = ["live_prices", "candles_1m", "dead_letters", "dead_letter_spans"]
PREFIXES = ["raw/", "tickers/", "landing/"]


class Traffic:
    """Items of both exchanges, received in five past minutes and written in two batches."""

    def __init__(self, spark: SparkSession, lake: Settings, folder: Path) -> None:
        self.first = (time.time_ns() // 1000 // MINUTE - 10) * MINUTE
        self.landed: dict[tuple[str, int], str] = {}
        wait_for_time_in_the_hour()
        for number, minutes in enumerate((MINUTES[:2], MINUTES[2:])):
            for minute in minutes:
                self._send(lake, minute)
            run_live_prices(spark, lake, folder / f"live-{number}")
            run_raw_archive(spark, lake, folder / f"raw-{number}")
            run_price_history(spark, lake, folder / f"tickers-{number}")

    def _send(self, lake: Settings, minute: int) -> None:
        two, one = self.items(minute)
        produce(lake, BINANCE.raw_topic, two)
        produce(lake, BINANCE.raw_topic, one, partition=1)
        kucoin = item(CRO_USDT, self.at(minute), sequence=str(minute))
        produce(lake, KUCOIN.raw_topic, [kucoin], partition=2)
        self.landed["binance", minute] = put_into_landing(lake, "binance", [*two, *one])
        self.landed["kucoin", minute] = put_into_landing(lake, "kucoin", [kucoin])

    def items(self, minute: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return two messages: a ticker, an item without price, a dead letter; a ticker of another symbol."""
        at = self.at(minute)
        event = at // 1000
        return [
            item(BTCUSDT, at, E=event),
            item(BTCUSDT, at + 1, E=event, c="0"),
            {"unreadable": "?", "received_at": at + 2},
        ], [item(BTCUSDT, at, E=event, s="OTHER")]

    def at(self, minute: int) -> int:
        return self.first + minute * MINUTE


@pytest.fixture
def traffic(spark: SparkSession, own_lake: Settings, tmp_path: Path) -> Traffic:
    return Traffic(spark, own_lake, tmp_path)


class Bucket:
    """The lake's bucket, with parquet objects as Arrow tables."""

    def __init__(self, lake: Settings) -> None:
        self._store = object_store.client(lake)
        self._bucket = lake.s3_bucket

    def table(self, key: str) -> pa.Table:
        body = self._store.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return parquet.read_table(BytesIO(body))

    def put(self, key: str, table: pa.Table) -> None:
        content = BytesIO()
        parquet.write_table(table, content)
        self._store.put_object(Bucket=self._bucket, Key=key, Body=content.getvalue())


def messages_in(table: pa.Table) -> int:
    return len({(row["partition"], row["offset"]) for row in table.to_pylist()})


def numbers(verdict: Verdict, words: str) -> int:
    """Return the sum of the numbers that the pattern captures in the verdict's examples."""
    found = [re.search(words, line) for line in verdict.examples]
    return sum(int(each[1]) for each in found if each)


def differing(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {each.table: each.differ for each in verdicts if each.differ}


@pytest.fixture
def another_day(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a local time zone in which it is another day than in UTC."""
    monkeypatch.setenv("TZ", "Etc/GMT-14" if datetime.now(UTC).hour >= 12 else "Etc/GMT+12")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("another_day")
def test_the_local_time_zone_changes_no_verdict(
    spark: SparkSession, own_lake: Settings, traffic: Traffic
) -> None:
    verdicts = audit(spark, own_lake)

    assert [each.table for each in verdicts] == TABLES + PREFIXES
    assert differing(verdicts) == {}
    assert verdicts[-1].rows == 6


def test_each_fault_of_tables_and_bucket_is_found(
    spark: SparkSession, own_lake: Settings, owner: connection, traffic: Traffic
) -> None:
    verdicts = audit(spark, own_lake)
    assert [each.table for each in verdicts] == TABLES + PREFIXES
    assert differing(verdicts) == {}
    *_, in_raw, in_tickers, in_landing = verdicts
    assert in_raw.rows >= 2 and in_tickers.rows >= 2
    # The first and the last minute of each exchange are not compared: they may be incomplete.
    assert (in_landing.rows, in_landing.unit) == (6, "minutes")
    assert f"landing/: {in_landing.rows} minutes, 0 differ" in report(verdicts)

    bucket = Bucket(own_lake)
    execute(owner, "UPDATE live_prices SET price = price + 0.01 WHERE symbol = 'OTHER'")
    execute(
        owner,
        "UPDATE candles_1m SET close = close - 0.01 WHERE (symbol, minute) ="
        " (SELECT symbol, min(minute) FROM candles_1m WHERE symbol = 'OTHER' GROUP BY 1)",
    )
    deleted, doubled = (key for key in keys(own_lake, "raw/") if BINANCE.raw_topic in key)
    missing, repeated = (messages_in(bucket.table(key)) for key in (deleted, doubled))
    delete(own_lake, deleted)
    copy(own_lake, doubled, in_another_hour(doubled))
    changed = next(key for key in keys(own_lake, "raw/") if KUCOIN.raw_topic in key)
    archived = bucket.table(changed)
    column = archived.schema.get_field_index("value")
    values = [*archived["value"].to_pylist()[:-1], b"[]"]
    bucket.put(changed, archived.set_column(column, "value", pa.array(values, pa.binary())))

    file = next(key for key in keys(own_lake, "tickers/") if "exchange=binance" in key)
    lacking = messages_in(bucket.table(file))
    table = deltalake.DeltaTable(
        f"s3://{own_lake.s3_bucket}/tickers", storage_options=storage_options(own_lake)
    )
    row = table.to_pyarrow_table(filters=[("exchange", "=", "kucoin")]).slice(0, 1)
    deltalake.write_deltalake(table, row, mode="append")
    delete(own_lake, file)

    two, _one = traffic.items(2)
    delete(own_lake, traffic.landed["binance", 2])
    put_into_landing(own_lake, "binance", two)

    verdicts = audit(spark, own_lake)
    prices, candles, letters, spans, in_raw, in_tickers, in_landing = verdicts
    assert (prices.differ, candles.differ, letters.differ, spans.differ) == (1, 1, 0, 0)
    assert numbers(in_raw, r"messages: (\d+) missing") == missing
    assert numbers(in_raw, r"(\d+) repeated") == repeated
    assert numbers(in_raw, r"(\d+) changed") == 1
    assert numbers(in_tickers, r"(\d+) with too few rows") == lacking
    assert numbers(in_tickers, r"(\d+) with too many") == 1
    assert f"{file.removeprefix('tickers/')} is gone from the store" in in_tickers.examples
    [line] = in_landing.examples
    minute = datetime.fromtimestamp(traffic.at(2) / 1e6, UTC)
    assert (
        line == f"binance {minute:%Y-%m-%d %H:%M:%S} received: 4 items in messages, 3 in landing/"
    )


def test_records_that_kafka_has_deleted_are_read_from_raw(
    spark: SparkSession,
    own_lake: Settings,
    owner: connection,
    traffic: Traffic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = audit(spark, own_lake)
    # This message expires before the live job reads it.
    produce(own_lake, BINANCE.raw_topic, traffic.items(4)[1], partition=1)
    run_raw_archive(spark, own_lake, tmp_path / "raw")

    def expire_and_fresh_candles(rows: DataFrame) -> DataFrame:
        expire_all(own_lake)
        return fresh_candles(rows)

    monkeypatch.setattr(audit_job, "fresh_candles", expire_and_fresh_candles)
    monkeypatch.setattr(audit_job, "MESSAGES_PER_STEP", 8)
    # This audit reads most records before they expire; the next one reads none of them from Kafka.
    after = audit(spark, own_lake)
    assert [each[:6] for each in after] == [each[:6] for each in before]
    execute(owner, "UPDATE candles_1m SET updates = 3 WHERE symbol = 'OTHER'")
    assert differing(audit(spark, own_lake)) == {"candles_1m": len(MINUTES)}


def test_an_object_of_raw_that_expires_during_the_audit_is_no_fault(
    spark: SparkSession, own_lake: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire_all(own_lake)
    first, _second = (key for key in keys(own_lake, "raw/") if BINANCE.raw_topic in key)
    expiring = datetime.now(UTC) - timedelta(days=own_lake.raw_retention_days)
    oldest = re.sub(r"date=[\d-]+", f"date={expiring:%Y-%m-%d}", first)
    copy(own_lake, first, oldest)
    delete(own_lake, first)

    def expire_and_fresh_candles(rows: DataFrame) -> DataFrame:
        delete(own_lake, oldest)
        return fresh_candles(rows)

    monkeypatch.setattr(audit_job, "fresh_candles", expire_and_fresh_candles)
    verdicts = audit(spark, own_lake)
    assert [each.table for each in verdicts] == TABLES + PREFIXES
    assert differing(verdicts) == {}
    # Binance's candles are not compared: its first record that is read is newer than all receipts.
    assert (verdicts[1].rows, verdicts[1].not_compared) == (5, 10)


def test_a_topic_or_an_exchange_of_which_a_prefix_has_nothing_is_a_fault(
    spark: SparkSession, own_lake: Settings, traffic: Traffic
) -> None:
    of_kucoin = [key for (exchange, _minute), key in traffic.landed.items() if exchange == "kucoin"]
    for key in [*keys(own_lake, f"raw/topic={KUCOIN.raw_topic}/"), *of_kucoin]:
        delete(own_lake, key)
    verdicts = {each.table: each for each in audit(spark, own_lake)}
    assert verdicts["raw/"].examples == [f"raw/ has nothing of {KUCOIN.raw_topic}"]
    assert verdicts["landing/"].examples == ["landing/ has nothing of kucoin"]
    assert differing([*verdicts.values()]) == {"raw/": 1, "landing/": 1}


def test_oldest_records_that_raw_lacks_are_no_fault_and_their_candles_are_not_compared(
    spark: SparkSession, own_lake: Settings, traffic: Traffic
) -> None:
    expire_all(own_lake)
    oldest, newest = (key for key in keys(own_lake, "raw/") if BINANCE.raw_topic in key)
    delete(own_lake, oldest)
    verdicts = audit(spark, own_lake)
    assert differing(verdicts) == {}
    # Binance's candles are not compared: its oldest remaining record is newer than all receipts.
    assert (verdicts[1].rows, verdicts[1].not_compared) == (5, 10)
    delete(own_lake, newest)
    assert differing(audit(spark, own_lake)) == {}


def test_a_gap_in_raw_that_kafka_can_not_fill_is_a_fault(
    spark: SparkSession, own_lake: Settings, traffic: Traffic, tmp_path: Path
) -> None:
    produce(own_lake, BINANCE.raw_topic, traffic.items(4)[1], partition=1)
    run_live_prices(spark, own_lake, tmp_path / "live")
    run_raw_archive(spark, own_lake, tmp_path / "raw")
    expire_all(own_lake)
    _oldest, middle, _newest = (key for key in keys(own_lake, "raw/") if BINANCE.raw_topic in key)
    delete(own_lake, middle)
    verdicts = {each.table: each for each in audit(spark, own_lake)}
    assert verdicts["raw/"].examples == [
        f"{BINANCE.raw_topic}/{partition} offsets 2 to 4: neither in raw/ nor in Kafka"
        for partition in (0, 1)
    ]
    assert differing([*verdicts.values()]) == {"raw/": 2}


def test_only_the_minutes_of_a_span_are_compared(
    spark: SparkSession, own_lake: Settings, owner: connection, traffic: Traffic
) -> None:
    second = datetime.fromtimestamp(traffic.at(1) / 1e6, UTC)
    now = datetime.now(UTC)
    span = TimeSpan(second, now + timedelta(minutes=2))
    _, candles, *others = audit(spark, own_lake, span)
    assert (candles.rows, candles.differ, candles.not_compared) == (12, 0, 0)
    assert [each.table for each in others] == [*TABLES[2:], *PREFIXES]
    assert differing(others) == {}

    of_minute = "UPDATE candles_1m SET high = high + 1 WHERE symbol = 'OTHER' AND minute = %s"
    execute(owner, of_minute, second - timedelta(minutes=1))
    assert differing(audit(spark, own_lake, span)) == {}
    execute(owner, of_minute, second)
    execute(owner, "UPDATE live_prices SET bid = 1 WHERE symbol = 'OTHER'")
    assert differing(audit(spark, own_lake, span)) == {"live_prices": 1, "candles_1m": 1}

    # Kafka stamped these records after the span, so it is unknown whether candles are complete.
    early = TimeSpan(second, second + timedelta(minutes=2))
    _, candles, *_ = audit(spark, own_lake, early)
    assert (candles.rows, candles.differ, candles.not_compared) == (0, 0, 6)
