"""Dead letters as an earlier version left them: listed, and replayed once they can be read."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from psycopg2.extensions import connection
from psycopg2.extras import execute_values
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, FEED_EVENTS, KUCOIN_RAW_DATA
from spark_jobs import postgres_sink
from spark_jobs.list_dead_letters import lines
from spark_jobs.postgres_sink import SecondLiveJobError
from spark_jobs.replay_dead_letters import replay_dead_letters
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item, record
from tests.support.postgres import SOON, contents, rows
from tests.support.queries import price_sink, write

NOW = round(datetime.now(UTC).timestamp()) // 60 * 60_000_000
HOUR = 3_600_000
TABLES = ("live_prices", "candles_1m", "dead_letters", "kafka_progress")
HOST = "127.0.0.1:8090"


def ticker(frame: dict[str, Any], price: str, later: int = 0) -> dict[str, Any]:
    """`later` in milliseconds."""
    event = {"E": NOW // 1000 + later} if "E" in frame else {"sequence": str(later)}
    name = "c" if "E" in frame else "price"
    return item(frame, NOW + later * 1000, **event, **{name: price})


def letter(topic: str, offset: int, position: int, payload: Any, reason: str) -> tuple[Any, ...]:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (topic, 2, offset, position, reason, text, HOST)


LETTERS = [
    letter(BINANCE_RAW_DATA, 3, 1, ticker(BTCUSDT, "1", 1), "no reason: now"),
    letter(BINANCE_RAW_DATA, 3, 4, ticker(BTCUSDT, "3", 3), "no reason: now"),
    letter(BINANCE_RAW_DATA, 3, 5, ticker(BTCUSDT, "abc"), "price can't be read: abc"),
    letter(BINANCE_RAW_DATA, 4, -1, [ticker(ETHUSDT, "7"), None], "the message is no JSON array"),
    letter(BINANCE_RAW_DATA, 5, -1, b"\xff", "the message is no JSON array"),
    letter(BINANCE_RAW_DATA, 6, 0, b"}{", "the item is no JSON object"),
    letter(BINANCE_RAW_DATA, 7, 0, ticker(ETHUSDT, "8", HOUR), "received_at is ahead"),
    letter(KUCOIN_RAW_DATA, 3, 1, ticker(CRO_USDT, "8", 8), "no reason: now"),
    letter(FEED_EVENTS, 0, -1, b"no JSON", "the message is no JSON object"),
]
INSERT = (
    'INSERT INTO dead_letters (topic, partition, "offset", position, reason, payload, endpoint)'
    " VALUES %s"
)


def insert(owner: connection, letters: list[tuple[Any, ...]]) -> None:
    with owner.cursor() as statements:
        execute_values(statements, INSERT, letters)


def test_what_can_be_read_now_becomes_prices_and_candles_once_and_the_rest_stays(
    spark: SparkSession, database: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_sink, "LOCK_LIMIT", SOON)
    with price_sink(database) as sink:
        write(
            spark,
            sink,
            record([ticker(BTCUSDT, "2", 2)], partition=2, offset=3),
            record([ticker(CRO_USDT, "9", 9)], KUCOIN_RAW_DATA, partition=2, offset=3),
        )
        with pytest.raises(SecondLiveJobError, match="stop it first"):
            replay_dead_letters(database.database_url)
    insert(owner, LETTERS)
    progress = contents(owner, ["kafka_progress"])
    old = 'SELECT * FROM dead_letters WHERE position = 5 OR "offset" >= 5 OR topic = %s ORDER BY 1, 3, 4'
    before = rows(owner, old, FEED_EVENTS)
    before = [tuple(map(bytes_of, row)) for row in before]

    assert replay_dead_letters(database.database_url) == (8, 4)
    prices = (
        'SELECT symbol, price, partition, "offset", position, endpoint FROM live_prices ORDER BY 1'
    )
    assert rows(owner, prices) == [
        ("BTCUSDT", Decimal(3), 2, 3, 4, HOST),
        ("CRO-USDT", Decimal(9), 2, 3, 0, "stream.binance.com"),
        ("ETHUSDT", Decimal(7), 2, 4, 0, HOST),
    ]
    candles = "SELECT symbol, open::int, high::int, low::int, close::int, updates FROM candles_1m"
    assert rows(owner, candles + " ORDER BY 1") == [
        ("BTCUSDT", 1, 3, 1, 3, 3),
        ("CRO-USDT", 8, 9, 8, 9, 2),
        ("ETHUSDT", 7, 7, 7, 7, 1),
    ]
    after = [tuple(map(bytes_of, row)) for row in rows(owner, old, FEED_EVENTS)]
    assert after == before
    new = rows(
        owner,
        'SELECT position, reason, payload, endpoint FROM dead_letters WHERE "offset" = 4',
    )
    assert [tuple(map(bytes_of, row)) for row in new] == [
        (1, "the item is no JSON object", b"null", HOST)
    ]
    assert contents(owner, ["kafka_progress"]) == progress

    tables = contents(owner, TABLES)
    assert replay_dead_letters(database.database_url) == (5, 0)
    assert contents(owner, TABLES) == tables
    batches = "SELECT rows_written, rows_refused, dead_letters, offsets FROM batches ORDER BY id"
    assert rows(owner, batches)[1:] == [(2, 1, 1, {})]


def bytes_of(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_they_are_listed_by_topic_and_cause_with_the_newest_of_each(
    database: Settings, owner: connection
) -> None:
    assert list(lines(database.database_url)) == ["no dead letters"]
    insert(owner, LETTERS)
    listed = list(lines(database.database_url))
    assert [line.split(",")[0] for line in listed[::3]] == [
        "binance_raw_data: 2 x no reason",
        "binance_raw_data: 1 x price can't be read",
        "binance_raw_data: 1 x received_at is ahead",
        "binance_raw_data: 1 x the item is no JSON object",
        "binance_raw_data: 2 x the message is no JSON array",
        "feed_events: 1 x the message is no JSON object",
        "kucoin_raw_data: 1 x no reason",
    ]
    assert listed[13:15] == [
        "  partition 2, offset 5, position -1: the message is no JSON array",
        "  \ufffd",
    ]
