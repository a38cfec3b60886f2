"""Define which of two tickers of a symbol is newer: one total order, for Spark, SQL and polars.

Compare (minute of received_at, sequence, received_at) from left to right. Within a minute the exchange's
sequence decides, so a frame that overtook another does no harm. Across minutes the later one wins, so an
exchange that restarts its sequence freezes a price for at most a minute. If all three are equal, the
place in Kafka decides, so the result does not depend on the batches.
"""

import polars as pl
from pyspark.sql import Column
from pyspark.sql import functions as F

AGE = ("sequence", "received_at", "partition", "offset", "position")
"""Columns that decide within a minute of received_at."""


def age_order() -> Column:
    """Return a struct that is greater for the newer ticker, for max_by."""
    return F.struct(F.date_trunc("minute", "received_at"), *AGE)


def sql_age_order(row: str) -> str:
    """Return the order as a SQL row value of `row`, a table's name or EXCLUDED."""
    columns = ", ".join(f'{row}."{name}"' for name in AGE)
    return f"(date_trunc('minute', {row}.received_at), {columns})"


def polars_age_order() -> list[pl.Expr]:
    """Return the order as expressions to sort by; the newest ticker comes last."""
    return [pl.col("received_at").dt.truncate("1m"), *map(pl.col, AGE)]
