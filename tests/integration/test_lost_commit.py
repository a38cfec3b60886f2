"""Kill a job between the sink's commit and Spark's: Spark repeats the batch, which changes nothing.

A job starts with an empty checkpoint and asks Postgres, so Spark usually has no batch to repeat. Here
the checkpoint is kept and written synchronously: effectively-once must not depend on either.
"""

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.audit import audit
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.live_prices import live_prices
from spark_jobs.postgres.price_sink import PriceSink
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.jobs import spark_submit
from tests.support.kafka import expire_all, produce
from tests.support.postgres import contents, rows
from tests.support.process import run
from tests.support.queries import run_once

pytestmark = pytest.mark.fault

DEADLINE = 240
TABLES = ("live_prices", "candles_1m", "dead_letters", "kafka_progress", "batches")


@pytest.mark.usefixtures("agreeing_clocks")
def test_a_batch_that_spark_repeats_because_its_commit_was_lost_changes_nothing(
    spark: SparkSession, lake: Settings, owner: connection, tmp_path: Path
) -> None:
    expire_all(lake)
    # The start of a minute, later than any minute in which an expired ticker may count.
    later = (time.time_ns() // 60_000_000_000 + 10) * 60_000_000
    tickers = [item(BTCUSDT, later + n, c=str(n), E=later // 1000 + n) for n in (1, 2, 3)]
    produce(lake, BINANCE.raw_topic, [*tickers, 7])
    produce(lake, KUCOIN.raw_topic, [item(CRO_USDT, later)])
    run(
        spark_submit("tests/support/programs/dies_after_commit.py"),
        lake.environment() | {"CHECKPOINT_DIR": str(tmp_path)},
        status=-signal.SIGKILL,
        deadline=DEADLINE,
    )
    checkpoint = tmp_path / "live_prices"
    batches = [
        sorted(path.name for path in (checkpoint / log).glob("[0-9]*"))
        for log in ("offsets", "commits")
    ]
    assert batches == [["0"], []]
    before = contents(owner, TABLES)
    assert [len(before[table]) for table in TABLES] == [2, 2, 1, 2, 1]

    produce(lake, BINANCE.raw_topic, [item(BTCUSDT, later + 9, c="9", E=later // 1000 + 9)])
    with closing(PriceSink(lake.database_url)) as sink:
        records = kafka_records(spark, lake, EXCHANGE_OF_TOPIC, sink.postgres.progress())
        run_once(live_prices(records, sink, checkpoint.as_uri()))
    assert sorted(path.name for path in (checkpoint / "commits").glob("[0-9]*")) == ["0", "1"]
    assert rows(owner, "SELECT rows_written, dead_letters FROM batches ORDER BY id") == [
        (2, 1),
        (1, 0),
    ]
    counted = "SELECT open::int, close::int, updates FROM candles_1m WHERE exchange = 'binance'"
    assert rows(owner, counted) == [(1, 9, 4)]
    verdicts = audit(spark, lake)
    assert [(each.table, each.rows, each.differ) for each in verdicts] == [
        ("live_prices", 2, 0),
        ("candles_1m", 2, 0),
        ("dead_letters", 1, 0),
        ("dead_letter_spans", 1, 0),
    ]
