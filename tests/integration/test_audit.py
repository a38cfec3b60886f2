"""Audit a real Kafka and Postgres: correct rows are not reported, each fault is named."""

import time
from pathlib import Path
from typing import Any

import pytest
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.audit import audit
from spark_jobs.check.verdicts import Verdict
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import expire_all, produce
from tests.support.postgres import execute
from tests.support.queries import run_live_prices

MINUTE = 60_000_000


def binance(symbol: str, price: str, microseconds: int) -> dict[str, Any]:
    return item(BTCUSDT, microseconds, s=symbol, c=price, E=microseconds // 1000)


def kucoin(symbol: str, sequence: int, microseconds: int) -> dict[str, Any]:
    return {**item(CRO_USDT, microseconds, sequence=str(sequence)), "subject": symbol}


@pytest.mark.usefixtures("agreeing_clocks")
def test_correct_rows_are_not_reported_and_faults_and_expired_rows_are_named(
    spark: SparkSession, database: Settings, owner: connection, tmp_path: Path
) -> None:
    now = time.time_ns() // 1000
    # Later than any minute in which a ticker of an expired message may count.
    later = now + 10 * MINUTE
    too_far_ahead = now + 30 * MINUTE
    expire_all(database)
    produce(database, BINANCE.raw_topic, [binance("OLD", "1", now), binance("BOTH", "1", now), 7])
    produce(database, KUCOIN.raw_topic, [kucoin("OLD-USDT", 1, now)])
    run_live_prices(spark, database, tmp_path)
    expire_all(database)
    produce(
        database,
        BINANCE.raw_topic,
        [binance("BOTH", "2", now), binance("币USDT", "3", later)],
        b'no JSON, "quoted"\r\n',
        b"",
        [binance("币USDT", "9", too_far_ahead)],
        [binance("币USDT", "0.000000000000000001", later + 1), "a"],
        [binance("A", 'no "price",\n\r', later), binance("A", "5", later)],
    )
    produce(database, KUCOIN.raw_topic, [kucoin("B-USDT", n, later) for n in (2, 3, 1)])
    run_live_prices(spark, database, tmp_path)

    def audited() -> list[Verdict]:
        return audit(spark, database)

    old = "kucoin OLD-USDT"
    prices, candles, letters, *_ = audited()
    assert prices == Verdict("live_prices", 6, 0, [], 2, ["binance OLD", old])
    assert candles[:5] == ("candles_1m", 3, 0, [], 3)
    assert [line.split(" 20")[0] for line in candles.expired] == [
        "binance BOTH",
        "binance OLD",
        old,
    ]
    assert letters[:5] == ("dead_letters", 5, 0, [], 1)

    produce(database, BINANCE.raw_topic, [binance("UNREAD", "1", later)])
    for statement in (
        "UPDATE live_prices SET price = 4, bid = 1 WHERE symbol = '币USDT'",
        "UPDATE live_prices SET \"offset\" = 0 WHERE symbol = 'BOTH'",
        "DELETE FROM candles_1m WHERE symbol = 'A'",
        "UPDATE candles_1m SET updates = 4 WHERE symbol = 'B-USDT'",
        "UPDATE dead_letters SET payload = 'b' WHERE payload = '\"a\"'",
        "INSERT INTO dead_letters SELECT topic, partition, \"offset\", 9, 'none', '', NULL, now(), NULL"
        " FROM dead_letters WHERE payload = 'b'",
    ):
        execute(owner, statement)
    prices, candles, letters, *_ = audited()
    assert (prices.rows, prices.differ, candles.differ, letters.differ) == (6, 2, 2, 2)
    both, coin = prices.examples
    assert both.startswith("binance BOTH offset: 0 in the table, ")
    assert coin == (
        "binance 币USDT price: 4.000000000000000000 in the table, 0.000000000000000001 in the records;"
        " bid: 1.000000000000000000 in the table, NULL in the records"
    )
    assert candles.examples[0].endswith("not in the table")
    assert candles.examples[1].endswith("updates: 4 in the table, 3 in the records")
    assert [line.split(" ", 4)[4] for line in letters.examples] == [
        "payload: 62 in the table, 226122 in the records",
        "in the table, but not in the records",
    ]
