"""Killed between the sink's commit and Spark's: Spark gives the batch again, and it changes nothing.

A job begins with an empty checkpoint and asks Postgres, so Spark has nothing to give again. Here the
checkpoint is kept, and written in step with the batches: what a batch promises hangs on neither.
"""

import os
import signal
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, EXCHANGE_OF_TOPIC, KUCOIN_RAW_DATA
from infra import places
from spark_jobs.audit import audit
from spark_jobs.live_prices import live_prices
from spark_jobs.price_sink import PriceSink
from spark_jobs.sources import kafka_records, messages_at
from tests.frames import BTCUSDT, CRO_USDT, item
from tests.raw_topics import expire_all, produce
from tests.sql import contents, rows

DEADLINE = 120
TABLES = ("live_prices", "candles_1m", "dead_letters", "kafka_progress", "batches")


def test_a_batch_that_spark_gives_again_because_its_commit_was_lost_changes_nothing(
    spark: SparkSession, database: Settings, owner: connection, tmp_path: Path
) -> None:
    expire_all(database)
    # A whole minute, and later than any expired ticker can count in.
    later = (time.time_ns() // 60_000_000_000 + 10) * 60_000_000
    tickers = [item(BTCUSDT, later + n, c=str(n), E=later // 1000 + n) for n in range(3)]
    produce(database, (BINANCE_RAW_DATA, [*tickers, 7]), (KUCOIN_RAW_DATA, [item(CRO_USDT, later)]))
    died = subprocess.run(
        [places.VENV_BIN / "spark-submit", "tests/dies_after_commit.py"],
        cwd=places.PROJECT,
        env=os.environ | database.environment() | {"CHECKPOINT_DIR": str(tmp_path)},
        capture_output=True,
        timeout=DEADLINE,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    checkpoint = tmp_path / "live_prices"
    batches = [
        sorted(path.name for path in (checkpoint / log).glob("[0-9]*"))
        for log in ("offsets", "commits")
    ]
    assert batches == [["0"], []]
    before = contents(owner, TABLES)
    assert [len(before[table]) for table in TABLES] == [2, 2, 1, 2, 1]

    produce(database, (BINANCE_RAW_DATA, [item(BTCUSDT, later + 9, c="9", E=later // 1000 + 9)]))
    servers = database.kafka_bootstrap_servers
    with closing(PriceSink(database.database_url, partial(messages_at, servers))) as sink:
        records = kafka_records(spark, servers, EXCHANGE_OF_TOPIC, sink.progress())
        query = live_prices(records, sink, checkpoint.as_uri()).trigger(availableNow=True).start()
        assert query.awaitTermination(DEADLINE)
    assert sorted(path.name for path in (checkpoint / "commits").glob("[0-9]*")) == ["0", "1"]
    assert rows(owner, "SELECT rows_written, dead_letters FROM batches ORDER BY id") == [
        (2, 1),
        (1, 0),
    ]
    counted = "SELECT open::int, close::int, updates FROM candles_1m WHERE exchange = 'binance'"
    assert rows(owner, counted) == [(0, 9, 4)]
    verdicts = audit(spark, servers, database.database_url)
    assert [(each.table, each.rows, each.differ) for each in verdicts] == [
        ("live_prices", 2, 0),
        ("candles_1m", 2, 0),
        ("dead_letters", 1, 0),
    ]
