"""The tables emptied for a rebuild: only beside no live job, and only if Kafka can give everything again."""

from contextlib import closing

import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, INSTRUMENTS
from spark_jobs.items import explode_items
from spark_jobs.normalise import normalise
from spark_jobs.postgres_sink import SecondLiveJobError
from spark_jobs.price_sink import PriceSink
from spark_jobs.rebuild import ExpiredError, empty_tables, refuse_expired
from tests.frames import BTCUSDT, item, record, records
from tests.raw_topics import expire_all, produce
from tests.sql import rows

COUNTS = """
SELECT (SELECT count(*) FROM live_prices), (SELECT count(*) FROM candles_1m),
    (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM batches)
"""


def test_the_raw_topics_tables_and_progress_are_emptied_and_the_rest_stays(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    with owner.cursor() as statements:
        statements.execute("INSERT INTO kafka_progress VALUES (%s, 0, 5)", (INSTRUMENTS,))
    batch = records(spark, record([item(BTCUSDT), item(BTCUSDT, c="bad")]))
    message = {(BINANCE_RAW_DATA, 0, 0): b"[]"}
    with closing(PriceSink(database.database_url, lambda _places: message)) as sink:
        sink.write(batch.transform(explode_items).transform(normalise), 0)
        with pytest.raises(SecondLiveJobError, match="make stop-jobs"):
            empty_tables(database.database_url)
    assert rows(owner, COUNTS) == [(1, 0, 1, 1)]
    empty_tables(database.database_url)
    assert rows(owner, COUNTS) == [(0, 0, 0, 1)]
    assert rows(owner, "SELECT * FROM kafka_progress") == [(INSTRUMENTS, 0, 5)]


def test_what_has_expired_in_kafka_is_not_deleted_from_the_tables(settings: Settings) -> None:
    produce(settings, (BINANCE_RAW_DATA, [item(BTCUSDT)]))
    expire_all(settings)
    with pytest.raises(ExpiredError, match="binance_raw_data/0 begins at offset"):
        refuse_expired(settings.kafka_bootstrap_servers)
