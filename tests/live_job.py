"""Writes to Postgres as the live job does: rows, batch and notification in one transaction."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from psycopg2.sql import SQL, Identifier

from core.topics import TOPIC_OF_EXCHANGE

Ticker = dict[str, Any]


def ticker(exchange: str, symbol: str, price: str, **columns: Any) -> Ticker:
    """A row of live_prices but for its batch; simulated, unless `endpoint` says otherwise."""
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


def write_batch(database_url: str, tickers: Sequence[Ticker]) -> int:
    """The id of the batch. All tickers have the same columns."""
    with closing(psycopg2.connect(database_url)) as postgres:
        with postgres, postgres.cursor() as cursor:
            cursor.execute(
                "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets,"
                " started_at) VALUES (%s, 0, 0, '{}', now()) RETURNING id",
                (len(tickers),),
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
