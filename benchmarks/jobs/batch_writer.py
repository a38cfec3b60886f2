"""Commit batches to Postgres as the live job does, and report when each was committed.

python -m benchmarks.jobs.batch_writer: print "ready" after the first batch, run until the input ends, then
print one line of JSON: {"<id of a batch>": seconds since the epoch when its COMMIT was sent, …}.
"""

import json
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from io import StringIO
from random import Random

import psycopg2
from psycopg2.extensions import connection

from core.settings import JOBS, Settings
from core.topics import TOPIC_OF_EXCHANGE
from spark_jobs.postgres.price_sink import COLUMNS, UPSERT
from spark_jobs.tickers.columns import TICKER

SYMBOLS = [("binance", f"BASE{n}USDT") for n in range(1400)] + [
    ("kucoin", f"BASE{n}-USDT") for n in range(600)
]
BATCHES_A_SECOND = 3.5
ROWS = 900
"""Rows per batch: 4,000 ticks per second change about this many of 2,000 symbols within a batch."""

INSERT_BATCH = """
INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, started_at)
VALUES (%s, 0, 0, '{}', now()) RETURNING id
"""


def main() -> None:
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    random = Random(1)
    committed: dict[int, float] = {}
    with closing(psycopg2.connect(Settings.from_environment(JOBS).database_url)) as postgres:
        with postgres, postgres.cursor() as statements:
            statements.execute(
                "CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS AS"
                f" SELECT {COLUMNS} FROM live_prices WITH NO DATA"
            )
        sequence = time.time_ns() // 1000
        commit(postgres, SYMBOLS, sequence)
        print("ready", flush=True)
        due = time.monotonic()
        while not ended.is_set():
            sequence += 1
            batch, at = commit(postgres, random.sample(SYMBOLS, ROWS), sequence)
            committed[batch] = at
            due += 1 / BATCHES_A_SECOND
            ended.wait(max(0.0, due - time.monotonic()))
    print(json.dumps(committed))


def commit(
    postgres: connection, symbols: list[tuple[str, str]], sequence: int
) -> tuple[int, float]:
    """Write a batch in one transaction. Return its id and the time at which COMMIT was sent."""
    lines = StringIO("".join(line(*symbol, sequence) for symbol in symbols))
    with postgres.cursor() as statements:
        statements.execute(INSERT_BATCH, (len(symbols),))
        ((batch,),) = statements.fetchall()
        statements.copy_expert(f"COPY incoming ({COLUMNS}) FROM STDIN (FORMAT csv)", lines)
        statements.execute(UPSERT, {"batch_id": batch})
        statements.execute("SELECT pg_notify('live_prices', %s)", (str(batch),))
    at = time.time()
    postgres.commit()
    return batch, at


def line(exchange: str, symbol: str, sequence: int) -> str:
    """Return a CSV line of a ticker with realistic widths; for Binance with 24-hour figures."""
    now = datetime.now(UTC).isoformat()
    amount = f"{sequence % 100_000}.{sequence % 977:08}"
    values = {
        "exchange": exchange,
        "symbol": symbol,
        "price": amount,
        "event_time": now,
        "received_at": now,
        "sequence": sequence,
        "endpoint": "127.0.0.1",
        "topic": TOPIC_OF_EXCHANGE[exchange],
        "partition": 1,
        "offset": sequence,
        "position": 17,
    }
    of_kucoin = ("bid", "bid_size", "ask", "ask_size", "last_size")
    of_the_day = ("open_24h", "high_24h", "low_24h", "base_volume_24h", "quote_volume_24h")
    values |= dict.fromkeys(of_the_day if exchange == "binance" else of_kucoin, amount)
    return ",".join(str(values.get(name, "")) for name in TICKER) + "\n"


if __name__ == "__main__":
    main()
