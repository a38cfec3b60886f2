"""Read `raw/` and `tickers/`, as written to the real MinIO by the jobs, with third-party programs."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import polars as pl
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.paths import TOOLS, VENV_BIN
from infra.services import object_store
from infra.services.object_store import storage_options
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from tests.compatibility.kept import Version, versions
from tests.compatibility.records import as_read
from tests.support.archive import TOPIC_ID
from tests.support.frames import BTCUSDT, CRO_USDT, item, record, records
from tests.support.jobs import QUICK_START
from tests.support.lake import archive_dataset
from tests.support.lake import ticker_rows as tickers_by_delta_rs
from tests.support.lake_queries import objects
from tests.support.process import run
from tests.support.reader_rows import raw_rows, ticker_rows

FORMER_IDS = dict.fromkeys(EXCHANGE_OF_TOPIC, "AbCdEfGhIjKlMnOpQrStUv")
IDS = dict.fromkeys(EXCHANGE_OF_TOPIC, TOPIC_ID)
TOPIC_PARTITIONS = [(topic, partition) for topic in EXCHANGE_OF_TOPIC for partition in range(4)]

MORNING = datetime(2026, 11, 22, 8, 59, 59, 123000, tzinfo=UTC)
EVENING = datetime(2026, 11, 22, 18, 0, 0, 1000, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 0, 0, 0, tzinfo=UTC)

WRITTEN = [
    record([item(BTCUSDT)], offset=0, timestamp=MORNING),
    record(None, offset=1, timestamp=MORNING, endpoint=None),
    record(b'[{"subject":"\xff\xfe"}', KUCOIN.raw_topic, 3, 7, b"\x00\xff", EVENING),
    record([item(BTCUSDT, c="0.00000001"), "bad"], offset=2, timestamp=EVENING),
    record([item(CRO_USDT), item(CRO_USDT)], KUCOIN.raw_topic, 3, 8, timestamp=NIGHT),
]

S3FS = TOOLS / "clients/s3fs/bin/python"
"""Python with pandas, DuckDB and s3fs, which needs another botocore. `make test` creates it."""


@pytest.fixture(scope="module")
def bucket(settings: Settings, spark: SparkSession) -> Settings:
    """A bucket with the records in `tickers/` and `raw/`; a topic was created again in between."""
    own = replace(settings, s3_bucket="readers")
    object_store.initialise(own)
    archive = Archive(spark, lake_root(own))
    archive.resume(TOPIC_PARTITIONS, FORMER_IDS)
    archive.write(records(spark, *WRITTEN[:1]).coalesce(1), 0)
    archive.accept({BINANCE.raw_topic: TOPIC_ID})
    archive.resume(TOPIC_PARTITIONS, IDS)
    archive.write(records(spark, *WRITTEN[1:]).coalesce(1), 1)
    table = TickerTable(spark, lake_root(own), lambda: {}, own.tickers_retention_days)
    table.resume(IDS)
    table.write(records(spark, *WRITTEN).coalesce(1), 0)
    return own


def expected_raw(rows: Iterable[Row], hour: int | None = None) -> list[list[Any]]:
    """Return the records as written, all in the folder of `hour` if it is set."""
    return raw_rows(
        row.asDict(recursive=True)
        | {"date": f"{row['timestamp']:%Y-%m-%d}"}
        | {"hour": row["timestamp"].hour if hour is None else hour}
        for row in rows
    )


@pytest.fixture(scope="module")
def expected_tickers(bucket: Settings) -> list[list[Any]]:
    """The tickers as delta-rs reads them; test_ticker_table checks that reader."""
    found = ticker_rows(tickers_by_delta_rs(bucket))
    assert [row[:7] for row in found] == [
        [BINANCE.raw_topic, 0, 0, 0, "binance", "BTCUSDT", "85439.99"],
        [BINANCE.raw_topic, 0, 2, 0, "binance", "BTCUSDT", "1E-8"],
        [KUCOIN.raw_topic, 3, 8, 0, "kucoin", "CRO-USDT", "0.10604"],
        [KUCOIN.raw_topic, 3, 8, 1, "kucoin", "CRO-USDT", "0.10604"],
    ]
    return found


def by_polars(
    settings: Settings, cast_options: pl.ScanCastOptions | None = None
) -> list[dict[str, Any]]:
    scanned = pl.scan_parquet(
        f"s3://{settings.s3_bucket}/raw/",
        storage_options=storage_options(settings),
        cast_options=cast_options,
    )
    return scanned.collect().to_dicts()


def by_arrow(settings: Settings) -> list[dict[str, Any]]:
    dataset = archive_dataset(settings, "raw")
    assert dataset is not None
    return list(dataset.to_table().to_pylist())


def by_duckdb_on_arrow(settings: Settings) -> list[dict[str, Any]]:
    with duckdb.connect() as lake:
        lake.register("raw", archive_dataset(settings, "raw"))
        return rows_of(lake.execute("SELECT * FROM raw"))


def by_spark(settings: Settings, spark: SparkSession) -> list[dict[str, Any]]:
    raw = spark.read.parquet(f"s3a://{settings.s3_bucket}/raw")
    # collect() converts times to the time zone of this process.
    raw = raw.withColumn("timestamp", F.unix_micros("timestamp"))
    return [row.asDict(recursive=True) for row in raw.collect()]


def rows_of(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


RawReader = Callable[[Settings], Iterable[Mapping[str, Any]]]
RAW_READERS: list[RawReader] = [by_polars, by_arrow, by_duckdb_on_arrow]


@pytest.mark.parametrize("read", RAW_READERS)
def test_raw_is_read_in_this_process(bucket: Settings, read: RawReader) -> None:
    assert raw_rows(read(bucket)) == expected_raw(WRITTEN)


def test_tickers_are_read_by_polars_pandas_and_duckdb_through_delta_rs(
    bucket: Settings, expected_tickers: list[list[Any]]
) -> None:
    options, uri = storage_options(bucket), f"s3://{bucket.s3_bucket}/tickers"
    table = deltalake.DeltaTable(uri, storage_options=options)
    assert ticker_rows(pl.read_delta(uri, storage_options=options).to_dicts()) == expected_tickers
    assert ticker_rows(table.to_pandas().to_dict("records")) == expected_tickers
    with duckdb.connect() as lake:
        lake.register("tickers", table.to_pyarrow_dataset())
        assert ticker_rows(rows_of(lake.execute("SELECT * FROM tickers"))) == expected_tickers


def reported(python: Path, program: str, settings: Settings, **also: str) -> dict[str, Any]:
    """Run a program of tests/support/programs. Return the rows it prints, by reader and prefix."""
    module = f"tests.support.programs.{program}"
    done = run([python, "-m", module, settings.s3_bucket], settings.environment() | also)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    return {f"{reader} {prefix}": rows for reader, prefix, rows in found}


def test_raw_and_tickers_are_read_by_pandas_and_duckdb_through_s3fs(
    bucket: Settings, expected_tickers: list[list[Any]]
) -> None:
    assert S3FS.exists(), f"{S3FS} is missing: run make test"
    raw = expected_raw(WRITTEN)
    assert reported(S3FS, "reads_by_s3fs", bucket) == {
        "pandas raw": raw,
        "pandas tickers": expected_tickers,
        "duckdb raw": raw,
        "duckdb tickers": expected_tickers,
    }


def test_raw_and_tickers_are_read_by_spark_without_our_settings_in_another_time_zone(
    bucket: Settings, expected_tickers: list[list[Any]], tmp_path: Path
) -> None:
    plain = {"SPARK_CONF_DIR": str(tmp_path), "PYSPARK_SUBMIT_ARGS": "pyspark-shell"}
    plain |= {"SPARK_SUBMIT_OPTS": QUICK_START}
    python = VENV_BIN / "python"
    assert reported(python, "reads_by_spark", bucket, **plain, TZ="America/New_York") == {
        "spark raw": expected_raw(WRITTEN),
        "spark tickers": expected_tickers,
    }


def test_no_object_is_empty_and_none_is_a_placeholder_of_a_folder(bucket: Settings) -> None:
    for prefix in ("raw/", "tickers/"):
        found = objects(bucket, prefix)
        assert found
        assert [each["Key"] for each in found if each["Size"] == 0] == []


@pytest.mark.filterwarnings("ignore:ScanCastOptions is considered unstable")
@pytest.mark.parametrize("version", versions(), ids=lambda version: version.name)
def test_raw_of_an_earlier_version_is_read_beside_the_new(
    settings: Settings, spark: SparkSession, version: Version
) -> None:
    own = replace(settings, s3_bucket=f"readers-of-{version.name.replace('.', '-')}")
    object_store.initialise(own)
    store = object_store.client(own)
    for key, content in version.objects("raw").items():
        # Earlier versions wrote hours below 10 with a leading zero.
        early = re.sub("hour=[0-9]+", "hour=08", key)
        store.put_object(Bucket=own.s3_bucket, Key=early, Body=content)
    old = as_read(version.records(EXCHANGE_OF_TOPIC))
    archive = Archive(spark, lake_root(own))
    archive.resume(TOPIC_PARTITIONS, IDS)
    new = record([item(BTCUSDT)], BINANCE.raw_topic, 0, 1000, timestamp=MORNING)
    archive.write(records(spark, new).coalesce(1), 0)
    expected = expected_raw([*old, new], hour=8)
    assert raw_rows(by_arrow(own)) == expected
    assert raw_rows(by_duckdb_on_arrow(own)) == expected
    assert raw_rows(by_spark(own, spark)) == expected
    int96 = pl.ScanCastOptions(datetime_cast=["nanosecond-downcast", "convert-timezone"])
    assert raw_rows(by_polars(own, int96)) == expected
