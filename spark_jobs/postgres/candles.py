"""Merge the candles of a batch into the table candles_1m.

A candle may arrive in parts. The part with the lowest (open_sequence, open) sets the open, the part with
the highest (close_sequence, close) sets the close. So neither the order of the parts nor a repeated part
changes the prices. Only `updates` is a sum: it counts each ticker once, because kafka_progress excludes
duplicates.
"""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor

from spark_jobs.postgres.candle_days import make_days, retained_span
from spark_jobs.postgres.transaction import copy_into
from spark_jobs.tickers.columns import CANDLE, as_frame

COLUMNS = ", ".join(CANDLE)

CREATE_INCOMING_CANDLES = f"""
CREATE TEMPORARY TABLE incoming_candles ON COMMIT DELETE ROWS AS
SELECT {COLUMNS} FROM candles_1m WITH NO DATA
"""

# Group first: a symbol that was read from two partitions has two incoming rows per minute.
MERGE = f"""
INSERT INTO candles_1m AS stored ({COLUMNS})
SELECT
    exchange,
    symbol,
    minute,
    (array_agg(open ORDER BY open_sequence, open))[1],
    max(high),
    min(low),
    (array_agg(close ORDER BY close_sequence DESC, close DESC))[1],
    min(open_sequence),
    max(close_sequence),
    sum(updates)
FROM incoming_candles
GROUP BY exchange, symbol, minute
ORDER BY exchange, symbol, minute
ON CONFLICT (exchange, symbol, minute) DO UPDATE
SET
    open = CASE
        WHEN (EXCLUDED.open_sequence, EXCLUDED.open) < (stored.open_sequence, stored.open)
        THEN EXCLUDED.open ELSE stored.open
    END,
    high = GREATEST(EXCLUDED.high, stored.high),
    low = LEAST(EXCLUDED.low, stored.low),
    close = CASE
        WHEN (EXCLUDED.close_sequence, EXCLUDED.close) > (stored.close_sequence, stored.close)
        THEN EXCLUDED.close ELSE stored.close
    END,
    open_sequence = LEAST(EXCLUDED.open_sequence, stored.open_sequence),
    close_sequence = GREATEST(EXCLUDED.close_sequence, stored.close_sequence),
    updates = EXCLUDED.updates + stored.updates
"""


def merge_candles(statements: cursor, rows: pa.Table, now: datetime, retention: timedelta) -> int:
    """Merge rows with columns.CANDLE into the table. Skip rows outside of the retention.

    Return the number of tickers in the skipped rows. A minute that is NULL is skipped as well.
    """
    since, until = retained_span(now, retention)
    minute = pc.field("minute")
    kept = rows.filter((minute >= since) & (minute < until))
    make_days(statements, _days(kept))
    copy_into(statements, "incoming_candles", as_frame(kept.select([*CANDLE])))
    statements.execute(MERGE)
    return tickers_in(rows) - tickers_in(kept)


def _days(rows: pa.Table) -> set[date]:
    days = pc.unique(rows["minute"].cast(pa.date32()))
    return {day for day in days.to_pylist() if day is not None}


def tickers_in(rows: pa.Table) -> int:
    """Return the number of tickers that the rows were made from."""
    return int(pc.sum(rows["updates"], min_count=0).as_py())
