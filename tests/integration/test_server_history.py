"""Serve long spans of candles as CSV, Arrow and Parquet."""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from server.rest.history import CANDLES_AT_ONCE, MAX_CANDLES
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
from tests.support.waiting import DEADLINE

DAY = datetime(2025, 3, 28, tzinfo=UTC)
MINUTES = 2 * CANDLES_AT_ONCE + 7
END = DAY + timedelta(minutes=MINUTES)
NEWEST = END - timedelta(seconds=1)
"""When the newest price was received: in the last minute, which is thus still running."""
PATH = "/api/history/binance/BTCUSDT"
SPAN = {"from": DAY.isoformat(), "to": (DAY + timedelta(days=30)).isoformat()}


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Settings:
    database = new_database(stack)
    fill(database)
    return database


@pytest.fixture(scope="module")
def server(filled: Settings) -> Iterator[ServerProcess]:
    newest = write_batch(
        filled.database_url, [ticker("binance", "BTCUSDT", "1", received_at=NEWEST)]
    )
    with running_server(filled.reader_database_url) as server:
        wait_for_batch(server, newest)
        yield server


def fill(database: Settings) -> None:
    """Insert MINUTES candles of ours. The close of each is its number, with 18 decimals."""
    owner: connection = psycopg2.connect(database.database_url)
    owner.autocommit = True
    values = [
        ("binance", "BTCUSDT", DAY + timedelta(minutes=n), 1, close(n) + 1, 0.5, close(n), 1, 2, 3)
        for n in range(MINUTES)
    ]
    accept_any_time(owner, "candles_1m")
    insert(owner, "INSERT INTO candles_1m VALUES %s", values)
    list_instruments(owner, ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"))
    owner.close()


def close(number: int) -> Decimal:
    return Decimal(f"{number}.123456789012345678")


def rows_of(content: bytes, form: str) -> list[dict[str, Any]]:
    """Return start, close and `closed` of each candle."""
    if form == "csv":
        lines = csv.DictReader(io.StringIO(content.decode()))
        return [
            {
                "start": datetime.fromisoformat(row["start"]),
                "close": Decimal(row["close"]),
                "closed": {"true": True, "false": False}[row["closed"]],
            }
            for row in lines
        ]
    source = pa.BufferReader(content)
    table = pq.read_table(source) if form == "parquet" else pa.ipc.open_stream(source).read_all()
    rows: list[dict[str, Any]] = table.select(["start", "close", "closed"]).to_pylist()
    return rows


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
def test_every_candle_of_the_span_comes_once_with_every_digit_and_whether_it_is_closed(
    server: ServerProcess, form: str
) -> None:
    answer = server.get(PATH, format=form, **SPAN)
    assert answer.status_code == 200, answer.text
    assert rows_of(answer.content, form) == [
        {"start": DAY + timedelta(minutes=n), "close": close(n), "closed": n < MINUTES - 1}
        for n in range(MINUTES)
    ]


def test_csv_is_the_default_and_an_unknown_value_is_empty(server: ServerProcess) -> None:
    answer = server.get(PATH, **{"from": DAY.isoformat(), "to": "2025-03-28T00:01:00Z"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="binance-BTCUSDT-1m.csv"'
    assert answer.text.splitlines() == [
        "start,open,high,low,close,updates,source,base_volume,quote_volume,trades,closed",
        "2025-03-28T00:00:00.000000Z,1,1.123456789012345678,0.5,0.123456789012345678,3,updates,,,,true",
    ]


def test_an_answer_that_postgres_interrupts_is_not_taken_for_whole(
    filled: Settings, server: ServerProcess
) -> None:
    address = f"http://127.0.0.1:{server.port}{PATH}"
    # A span this long takes seconds, and the answer begins at once.
    span = {"from": (DAY - timedelta(days=690)).isoformat(), "to": SPAN["from"]}
    with requests.get(address, params=span, stream=True, timeout=DEADLINE) as answer:
        assert answer.status_code == 200
        with no_connections(filled, filled.database_url.rsplit("/", 1)[1]):
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                _ = answer.content
    assert server.get(PATH, **SPAN).status_code == 200


def test_without_an_answer_from_postgres_it_is_unavailable(
    filled: Settings, server: ServerProcess
) -> None:
    """Earlier queries of the same request succeed: only the first one for candles fails."""
    with closing(psycopg2.connect(filled.database_url)) as owner:
        execute(owner, "LOCK TABLE candles_1m IN ACCESS EXCLUSIVE MODE")
        answer = server.get(PATH, **SPAN)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Postgres does not answer"
    assert server.get(PATH, **SPAN).status_code == 200


@pytest.mark.parametrize("form", ["csv", "arrow", "parquet"])
def test_a_span_without_candles_is_a_valid_answer(server: ServerProcess, form: str) -> None:
    span = {"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z"}
    answer = server.get(PATH, format=form, **span)
    assert (answer.status_code, rows_of(answer.content, form)) == (200, [])


def test_larger_candles_are_built_of_the_minutes(server: ServerProcess) -> None:
    answer = server.get(PATH, interval="1d", **SPAN)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["updates"] for row in rows] == ["4320", "4320", str(3 * (MINUTES - 2880))]


@pytest.mark.parametrize(
    ("path", "query", "status", "detail"),
    [
        (PATH, {}, 422, "from=None: Field required"),
        (PATH, {**SPAN, "format": "xml"}, 422, "format='xml'"),
        (PATH, {"from": "2001-01-01"}, 422, f"expected up to {MAX_CANDLES}"),
        ("/api/history/kucoin/BTCUSDT", SPAN, 404, "symbol='BTCUSDT': unknown on kucoin"),
    ],
)
def test_what_can_not_be_served_is_refused_by_name(
    server: ServerProcess, path: str, query: dict[str, str], status: int, detail: str
) -> None:
    answer = server.get(path, **query)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
