"""Measure whether Postgres keeps its size while every price is rewritten each second.

    python -m benchmarks.table_size --minutes 60

Runs the live job's transaction, without Kafka and Spark, against a separate Postgres with the stack's
settings: 3.5 batches per second, each with a new version of 1,000 to 1,300 of 2,074 symbols and of their
candles, so some 4,000 rows per second in each table. Prints one line per minute, and stores the first,
the fifth and the last.
"""

import argparse
import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import psycopg2
import pyarrow as pa
from psycopg2.extensions import connection
from pyspark.sql import DataFrame

from benchmarks.harness.report import publish
from benchmarks.jobs.batch_writer import BATCHES_A_SECOND
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.services import postgres
from infra.stack import StackError, delete, stack_on_free_ports
from infra.waiting import wait_until
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.upkeep import one_step
from spark_jobs.tickers.arrow_streams import as_streams
from spark_jobs.tickers.columns import AMOUNTS, IS_TICKER, REDUCED, arrow_schema

CHANGED = (1000, 1300)
SYMBOLS = {BINANCE.raw_topic: 1440, KUCOIN.raw_topic: 634}
VERSIONS = 16
WARM_MINUTES = 5

SCHEMA = arrow_schema(REDUCED)

SIZES = """
SELECT
    pg_relation_size('live_prices') / 1024,
    pg_relation_size('live_prices_pkey') / 1024,
    n_dead_tup,
    autovacuum_count,
    round(100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1), 1),
    (SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'candles_1m'::regclass)::bigint / 1024,
    (SELECT count(*) FROM candles_1m),
    pg_total_relation_size('batches') / 1024,
    (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r')::bigint / 1024
FROM pg_stat_user_tables WHERE relname = 'live_prices'
"""
HEADINGS = (
    *("minute", "batches", "rows/s", "late s", "live kB", "its index kB", "dead rows", "vacuums"),
    *("hot %", "candles kB", "candles", "batches kB", "catalog kB"),
)


class Rows:
    """Replaces the Spark DataFrame of a batch: `toArrow` returns these rows as an Arrow stream."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def toArrow(self) -> pa.Table:
        return pa.Table.from_batches(as_streams([self._rows]))


class Tickers:
    """Builds reduced batches of random symbols, with the current time."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._versions = pa.Table.from_pylist(
            [
                self._ticker(topic, number)
                for _ in range(VERSIONS)
                for topic, symbols in SYMBOLS.items()
                for number in range(symbols)
            ],
            SCHEMA,
        )

    def batch(self, number: int, changes: int) -> pa.Table:
        """Return another version of `changes` random symbols."""
        symbols = sum(SYMBOLS.values())
        changed = self._random.sample(range(symbols), changes)
        version = self._random.randrange(VERSIONS) * symbols
        rows = self._versions.take(pa.array([version + symbol for symbol in changed]))
        now = datetime.now(UTC)
        minute = now.replace(second=0, microsecond=0)
        same: dict[str, Any] = {
            **dict.fromkeys(("traded_at", "event_time", "received_at"), now),
            "minute": minute,
            **dict.fromkeys(("sequence", "open_sequence", "close_sequence"), number),
            **dict.fromkeys(("offset", "first_offset", "last_offset"), number),
        }
        for name, value in same.items():
            column = pa.repeat(pa.scalar(value, SCHEMA.field(name).type), rows.num_rows)
            rows = rows.set_column(SCHEMA.get_field_index(name), name, column)
        return rows

    def _ticker(self, topic: str, number: int) -> dict[str, Any]:
        amounts = {name: self._amount() for name in (*AMOUNTS, "open", "high", "low", "close")}
        return amounts | {
            "exchange": EXCHANGE_OF_TOPIC[topic],
            "symbol": f"SYMBOL{number}USDT",
            "endpoint": "127.0.0.1:8090",
            "topic": topic,
            "partition": number % 4,
            "position": number,
            "updates": 1,
            "kind": IS_TICKER,
        }

    def _amount(self) -> Decimal:
        return Decimal(self._random.randrange(10**12)).scaleb(-8)


@contextmanager
def own_postgres() -> Iterator[Settings]:
    """Run the stack's Postgres alone on a free port, in a folder that is deleted at the end."""
    stack = stack_on_free_ports("benchmarks/table_size")
    postgres.prepare(stack)
    folder = stack.folder / "postgres"
    command = [str(stack.postgres_bin / "postgres"), "-D", str(folder / "data")]
    user = stack.postgres_user if os.geteuid() == 0 else None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, user=user, stdout=log, stderr=log)
    try:
        if not wait_until(lambda: postgres.is_ready(stack.settings), deadline=30):
            raise StackError(f"Postgres is not ready: {(folder / 'log').read_text()}")
        postgres.initialise(stack.settings)
        yield stack.settings
    finally:
        process.terminate()
        process.wait(60)
        delete(stack)
        stack.folder.parent.rmdir()


def sizes(database: connection) -> tuple[Any, ...]:
    with database, database.cursor() as statements:
        statements.execute(SIZES)
        return statements.fetchall()[0]


def run(settings: Settings, minutes: int) -> None:
    tickers = Tickers()
    print(" | ".join(HEADINGS), flush=True)
    lines: list[dict[str, str]] = []
    with (
        closing(psycopg2.connect(settings.database_url)) as database,
        closing(PriceSink(settings.database_url)) as sink,
    ):
        began = ended = time.monotonic()
        number = 0
        for minute in range(1, minutes + 1):
            rows = 0
            while number < minute * 60 * BATCHES_A_SECOND:
                time.sleep(max(0.0, began + number / BATCHES_A_SECOND - time.monotonic()))
                batch = tickers.batch(number, random.randint(*CHANGED))
                sink.write(cast(DataFrame, Rows(batch)), number)
                rows += batch.num_rows
                number += 1
            # A minute lasts from the last batch of the one before to its own last batch.
            before, ended = ended, time.monotonic()
            rate = rows / (ended - before)
            late = ended - began - minute * 60
            one_step(database)
            found = sizes(database)
            line = (minute, number, round(rate), round(max(0.0, late), 1), *found)
            lines.append(dict(zip(HEADINGS, map(str, line), strict=True)))
            print(" | ".join(lines[-1].values()), flush=True)
    warm = min(WARM_MINUTES, minutes)
    publish("table_size", f"{minutes} minutes", [lines[0], lines[warm - 1], lines[-1]])


def main() -> None:
    parser = argparse.ArgumentParser(description="The size of the tables over time.")
    parser.add_argument("--minutes", type=int, default=60)
    arguments = parser.parse_args()
    with own_postgres() as settings:
        run(settings, arguments.minutes)


if __name__ == "__main__":
    main()
