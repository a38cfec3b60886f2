"""Serve the state of the pipeline from the tables that the live job writes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from server.rest.query_connection import QueryConnection
from server.rest.recent_batches import BatchMinute, batch_minutes
from tests.support.live_job import (
    accept_any_time,
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import execute, no_connections
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database
from tests.support.waiting import wait_for

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(scope="module")
def server(database: Settings) -> Iterator[ServerProcess]:
    batch_id = write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        yield server


@pytest.fixture(autouse=True)
def empty_tables(owner: connection) -> None:
    execute(
        owner,
        "TRUNCATE batches, instruments, feed_events, exchange_candle_spans, dead_letter_spans",
    )


def status(server: ServerProcess) -> dict[str, Any]:
    answer = server.get("/api/status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def batch(owner: connection, committed_at: datetime, milliseconds: int, tickers: int) -> None:
    """Insert a batch that wrote 100 rows and 2 dead letters."""
    execute(
        owner,
        "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, reading,"
        " started_at, committed_at)"
        " VALUES (100, 0, 2, '{}', jsonb_build_object('binance', jsonb_build_object('tickers', %s)),"
        " %s - %s * interval '1 millisecond', %s)",
        *(tickers, committed_at, milliseconds, committed_at),
    )


def written(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"


def test_batches_are_counted_by_minute(owner: connection, server: ServerProcess) -> None:
    now = wait_for(lambda: datetime.now(UTC), lambda now: now.second < 50)
    this_minute = now.replace(second=0, microsecond=0)
    last = this_minute - MINUTE
    batch(owner, this_minute - 61 * MINUTE, 1000, 1)
    for milliseconds in (100, 200, 300):
        batch(owner, last - MINUTE, milliseconds, 1)
    batch(owner, last, 50, 600)
    batch(owner, last + timedelta(seconds=59), 150, 15)
    batch(owner, this_minute, 1000, 1)

    found = status(server)

    assert found["minutes"] == [
        {
            "minute": written(last - MINUTE),
            "batches": 3,
            "rows": 300,
            "dead_letters": 6,
            "p50_ms": 200.0,
            "p95_ms": 290.0,
        },
        {
            "minute": written(last),
            "batches": 2,
            "rows": 200,
            "dead_letters": 4,
            "p50_ms": 100.0,
            "p95_ms": 145.0,
        },
    ]
    assert [each["ticks_per_second"] for each in found["exchanges"]] == [10.2, 0.0]


@pytest.mark.parametrize("ahead", [-MINUTE, 0 * MINUTE, MINUTE])
def test_the_minutes_end_at_the_time_that_is_reported(
    database: Settings, owner: connection, ahead: timedelta
) -> None:
    now = datetime.now(UTC)
    this_minute = now.replace(second=0, microsecond=0)
    for minutes in range(-1, 63):
        batch(owner, this_minute - minutes * MINUTE, 100, 1)

    async def read() -> list[BatchMinute]:
        with closing(QueryConnection(database.reader_database_url)) as queries:
            return await batch_minutes(queries, now + ahead)

    assert [each.minute for each in asyncio.run(read())] == [
        this_minute + ahead - minutes * MINUTE for minutes in range(60, 0, -1)
    ]


def test_without_batches_the_rate_is_unknown(server: ServerProcess) -> None:
    found = status(server)

    assert (found["minutes"], found["dead_letters"]) == ([], [])
    assert [each["ticks_per_second"] for each in found["exchanges"]] == [None, None]


def test_each_exchange_has_its_age_and_its_interruptions(
    owner: connection, server: ServerProcess
) -> None:
    list_instruments(
        owner,
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("binance", "ETHUSDT", "ETH", "USDT", "TRADING"),
    )
    old, recent = NOW - 25 * HOUR, NOW - 2 * HOUR
    interruptions = [
        ("binance", None, "interruption", "silence", old, old + MINUTE, 0),
        ("binance", None, "interruption", "reset", recent, recent + 5 * MINUTE, 0),
        ("binance", None, "connection", None, recent, None, 0),
        ("kucoin", None, "interruption", "start", recent, None, 0),
    ]
    insert(owner, "INSERT INTO feed_events VALUES %s", interruptions)
    span = ("binance", "BTCUSDT", "1m", recent, recent + 5 * MINUTE, NOW, None)
    insert(owner, "INSERT INTO exchange_candle_spans VALUES %s", [span])

    binance, kucoin = status(server)["exchanges"]

    assert 0 < binance.pop("age_seconds") < 600
    assert binance == {
        "exchange": "binance",
        "title": "Binance",
        "simulated": True,
        "ticks_per_second": None,
        "interruptions": [
            {
                "from": written(recent),
                "to": written(recent + 5 * MINUTE),
                "reason": "reset",
                "filled": False,
            }
        ],
        "pairs": 2,
        "filled_pairs": 1,
    }
    assert kucoin == {
        "exchange": "kucoin",
        "title": "KuCoin",
        "simulated": None,
        "age_seconds": None,
        "ticks_per_second": None,
        "interruptions": [{"from": written(recent), "to": None, "reason": "start", "filled": None}],
        "pairs": 0,
        "filled_pairs": 0,
    }


def test_dead_letters_of_the_last_day_are_added_up_by_cause(
    owner: connection, server: ServerProcess
) -> None:
    def dead(cause: str, offset: int, letters: int, written_at: datetime) -> None:
        # One letter in each of `letters` messages: the whole message can't be read.
        row = ("kucoin_raw_data", 0, cause, offset, offset + letters - 1, letters, b"")
        insert(
            owner,
            "INSERT INTO dead_letter_spans VALUES %s",
            [(*row, written_at, written_at)],
        )

    dead("no JSON", 0, 2, NOW - HOUR)
    dead("no array", 10, 2, NOW - HOUR)
    dead("no array", 20, 3, NOW - 2 * HOUR)
    dead("no array", 30, 9, NOW - 25 * HOUR)

    assert status(server)["dead_letters"] == [
        {
            "topic": "kucoin_raw_data",
            "cause": "no array",
            "letters": 5,
            "last_written_at": written(NOW - HOUR),
        },
        {
            "topic": "kucoin_raw_data",
            "cause": "no JSON",
            "letters": 2,
            "last_written_at": written(NOW - HOUR),
        },
    ]


def test_a_table_has_the_bytes_of_its_partitions(owner: connection, server: ServerProcess) -> None:
    accept_any_time(owner, "candles_1m")
    execute(
        owner,
        "INSERT INTO candles_1m SELECT 'binance', 'BTCUSDT', minute, 1, 1, 1, 1, 1, 1, 1"
        " FROM generate_series(now() - interval '10 days', now(), '1 minute') AS minute",
    )

    tables = status(server)["tables"]

    assert {each["table"] for each in tables} == {
        *("live_prices", "candles_1m", "instruments", "feed_events", "kafka_progress", "batches"),
        *(
            "dead_letters",
            "dead_letter_spans",
            "exchange_candles",
            "exchange_candle_spans",
            "reading_rules",
        ),
    }
    assert tables[0]["table"] == "candles_1m"
    assert tables[0]["bytes"] > 1_000_000
    sizes = [each["bytes"] for each in tables]
    assert sizes == sorted(sizes, reverse=True)


def test_head_is_answered_without_a_body(server: ServerProcess) -> None:
    answer = requests.head(f"{server.page}api/status", timeout=10)

    assert (answer.status_code, answer.content) == (200, b"")


def test_without_postgres_it_is_unavailable(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with no_connections(database, owner.info.dbname):
        answer = server.get("/api/status")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "Postgres does not answer"
