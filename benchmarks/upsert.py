"""Measure the upsert alone: the live job's COPY to a temporary table and MERGE, compared with others.

    make benchmark-upsert

New versions of all 2,074 symbols are written, from Arrow to COMMIT, into a table that has all of them:
by the live job's code, and by psycopg2's execute_values with the same guard. Two bare COPYs, which
upsert nothing, are measured too: to a plain table with the same columns and key, empty each time, and to
a temporary table, which does not survive a power failure. They run in turn. The spread is from the first
to the last decile.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median, quantiles

import psycopg2
import pyarrow as pa
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values

from benchmarks.harness.report import publish
from benchmarks.table_size import SYMBOLS, Tickers, own_postgres
from spark_jobs.postgres.price_sink import COLUMNS, TABLES, newest_of, upsert
from spark_jobs.postgres.transaction import copy_into
from spark_jobs.tickers.columns import TICKER, as_frame
from spark_jobs.tickers.ticker_order import sql_age_order

WARM = 10

VALUES = f"""
INSERT INTO live_prices ({COLUMNS}, batch_id) VALUES %s
ON CONFLICT (exchange, symbol) DO UPDATE
SET {", ".join(f'"{name}" = EXCLUDED."{name}"' for name in (*TICKER, "batch_id"))}
WHERE {sql_age_order("EXCLUDED")} > {sql_age_order("live_prices")}
"""


PLAIN = """
CREATE TABLE plain (LIKE live_prices INCLUDING INDEXES);
ALTER TABLE plain ALTER batch_id DROP NOT NULL
"""


def copy_and_merge(statements: cursor, rows: pa.Table) -> None:
    upsert(statements, newest_of(rows), 1)


def values(statements: cursor, rows: pa.Table) -> None:
    tuples = [(*row.values(), 1) for row in rows.to_pylist()]
    execute_values(statements, VALUES, tuples, page_size=1000)


def copy_to_plain(statements: cursor, rows: pa.Table) -> None:
    copy_into(statements, "plain", as_frame(rows))


def copy_to_temporary(statements: cursor, rows: pa.Table) -> None:
    copy_into(statements, "incoming", as_frame(rows))


BARE = "bare COPY to a plain table"
WAYS: dict[str, Callable[[cursor, pa.Table], None]] = {
    "COPY and MERGE": copy_and_merge,
    "execute_values": values,
    BARE: copy_to_plain,
    "bare COPY to a temporary table": copy_to_temporary,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="The upsert alone, beside execute_values and COPY")
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    if rounds < 2:
        parser.error(f"--rounds: expected at least 2, got {rounds}")
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    tickers = Tickers()
    symbols = sum(SYMBOLS.values())
    with own_postgres() as settings, closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(TABLES.create_incoming)
            statements.execute(PLAIN)
        for number in range(WARM + rounds):
            for turn, (name, write) in enumerate(WAYS.items()):
                rows = tickers.batch(number * len(WAYS) + turn, symbols).select(TICKER)
                with database, database.cursor() as statements:
                    statements.execute("TRUNCATE plain")
                began = time.perf_counter()
                with database, database.cursor() as statements:
                    write(statements, rows)
                took[name].append(time.perf_counter() - began)
    medians = {name: median(times[WARM:]) for name, times in took.items()}
    publish(
        "upsert",
        f"{rounds} rounds of {symbols:,} rows",
        [
            {
                "": name,
                "rows/s": f"{symbols / medians[name]:,.0f}",
                "ms": f"{1000 * medians[name]:.1f}",
                "spread": " to ".join(f"{1000 * cut:.1f}" for cut in _tenths(times[WARM:])),
                "of execute_values": f"{medians['execute_values'] / medians[name]:.1f} x",
                "of bare COPY": f"{medians[BARE] / medians[name]:.2f} x",
            }
            for name, times in took.items()
        ],
    )


def _tenths(times: list[float]) -> tuple[float, float]:
    cuts = quantiles(times, n=10)
    return cuts[0], cuts[-1]


if __name__ == "__main__":
    main()
