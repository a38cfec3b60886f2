"""The tables emptied for a rebuild: only beside no live job, and only if Kafka still holds everything."""

import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, INSTRUMENTS
from spark_jobs import rebuild
from spark_jobs.postgres_sink import SecondLiveJobError
from spark_jobs.rebuild import ExpiredError, empty_tables, refuse_expired
from tests.support.frames import BTCUSDT, item, record, reduced
from tests.support.kafka import expire_all, produce
from tests.support.postgres import SOON, execute, rows
from tests.support.queries import price_sink

COUNTS = """
SELECT (SELECT count(*) FROM live_prices), (SELECT count(*) FROM candles_1m),
    (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM batches)
"""


def test_the_raw_topics_tables_and_progress_are_emptied_and_the_rest_stays(
    spark: SparkSession, database: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "LOCK_LIMIT", SOON)
    execute(owner, "INSERT INTO kafka_progress VALUES (%s, 0, 5)", INSTRUMENTS)
    batch = reduced(spark, record([item(BTCUSDT), item(BTCUSDT, c="bad")]))
    with price_sink(database) as sink:
        sink.write(batch, 0)
        with pytest.raises(SecondLiveJobError, match="make stop-jobs"):
            empty_tables(database.database_url)
    assert rows(owner, COUNTS) == [(1, 0, 1, 1)]
    empty_tables(database.database_url)
    assert rows(owner, COUNTS) == [(0, 0, 0, 1)]
    assert rows(owner, "SELECT * FROM kafka_progress") == [(INSTRUMENTS, 0, 5)]


def test_what_has_expired_in_kafka_is_not_deleted_from_the_tables(settings: Settings) -> None:
    produce(settings, BINANCE_RAW_DATA, [item(BTCUSDT)])
    expire_all(settings)
    with pytest.raises(ExpiredError, match="binance_raw_data/0 begins at offset"):
        refuse_expired(settings)
