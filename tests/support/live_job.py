"""Write to Postgres as the live job does, and wait until a server has read it.

As in the job, rows, batch and notification are one transaction.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
from psycopg2.extensions import connection
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from core.topics import TOPIC_OF_EXCHANGE
from server.state.prices import Price
from tests.support.postgres import execute
from tests.support.server import ServerProcess

Ticker = dict[str, Any]


def ticker(exchange: str, symbol: str, price: str, **columns: Any) -> Ticker:
    """Return a row of live_prices without batch_id: simulated, unless `endpoint` is changed."""
    now = datetime.now(UTC)
    return {
        "exchange": exchange,
        "symbol": symbol,
        "price": price,
        "event_time": now,
        "sequence": 1,
        "received_at": now,
        "endpoint": "127.0.0.1",
        "topic": TOPIC_OF_EXCHANGE[exchange],
        "partition": 0,
        "offset": 0,
        "position": 0,
    } | columns


def price(exchange: str, symbol: str, amount: str, **columns: Any) -> Price:
    """Return the same row as the server's Price, of batch 1, with minimal JSON."""
    row: Ticker = {
        "base": None,
        "quote": None,
        "status": None,
        "traded_at": None,
        "batch_id": 1,
    } | ticker(exchange, symbol, amount, **columns)
    shown = {"exchange": exchange, "symbol": symbol, "price": amount}
    return Price(
        exchange,
        symbol,
        row["base"],
        row["quote"],
        row["status"],
        Decimal(amount),
        row["traded_at"],
        row["received_at"],
        row["endpoint"],
        row["batch_id"],
        json.dumps(shown),
    )


def write_batch(
    database_url: str,
    tickers: Sequence[Ticker],
    reading: Mapping[str, Any] | None = None,
    age: timedelta = timedelta(),
) -> int:
    """Write a batch, committed `age` ago, and return its id. All tickers must have the same columns."""
    with closing(psycopg2.connect(database_url)) as postgres:
        with postgres, postgres.cursor() as cursor:
            cursor.execute(
                "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, reading,"
                " started_at, committed_at) VALUES (%s, 0, 0, '{}', %s, now(), now() - %s)"
                " RETURNING id",
                (len(tickers), json.dumps(reading or {}), age),
            )
            ((batch_id,),) = cursor.fetchall()
            if tickers:
                columns = list(map(Identifier, [*tickers[0], "batch_id"]))
                upsert = SQL(
                    "INSERT INTO live_prices ({}) VALUES %s"
                    " ON CONFLICT (exchange, symbol) DO UPDATE SET ({}) = ROW ({})"
                ).format(
                    SQL(", ").join(columns),
                    SQL(", ").join(columns),
                    SQL(", ").join(SQL("EXCLUDED.{}").format(column) for column in columns),
                )
                execute_values(cursor, upsert, [(*row.values(), batch_id) for row in tickers])
            cursor.execute("SELECT pg_notify('live_prices', %s)", (str(batch_id),))
    return int(batch_id)


def list_instruments(
    owner: connection, *instruments: tuple[str, str, str, str, str], seen_at: datetime | None = None
) -> None:
    """Insert rows of exchange, symbol, base, quote and status."""
    moment = seen_at or datetime.now(UTC)
    insert(owner, "INSERT INTO instruments VALUES %s", [(*each, moment) for each in instruments])


def accept_any_time(owner: connection, *tables: str) -> None:
    """Add the default partition of each table, TABLE_any, for rows of times without their own partition."""
    for table in tables:
        execute(owner, f"CREATE TABLE IF NOT EXISTS {table}_any PARTITION OF {table} DEFAULT")


def insert(owner: connection, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    with owner.cursor() as cursor:
        execute_values(cursor, statement, values)


def batch_of(id: str) -> int:
    """Return the batch id, the last part of a message's id."""
    return int(id.rpartition("-")[2])


def wait_for_batch(
    server: ServerProcess, batch_id: int, headers: dict[str, str] | None = None
) -> None:
    """Wait until the server has read that batch or a later one."""
    server.wait_for(
        lambda: server.get("/api/prices", headers, symbol="none"),
        lambda answer: answer.ok and batch_of(answer.json()["id"]) >= batch_id,
    )
